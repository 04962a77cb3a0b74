"""Steps of one stream overlap: each is given its part of the stream's wall time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from pipelines.execution.stream.totals import StepTotal
from pipelines.study.graph.step import Step


def attribute_time(
    steps: tuple[Step, ...], totals: Mapping[str, StepTotal], busy: Mapping[str, float], wall: float
) -> dict[str, float]:
    """Seconds by step key, together `wall`: a model's part is the time that its engine was busy, a step's part of
    that is the time that its requests took (waiting included, which all steps of a model share alike)."""
    model_request_seconds: dict[str, float] = defaultdict(float)
    for step in steps:
        model_request_seconds[step.params.model] += _request_seconds(step, totals)
    all_busy = sum(busy.values())
    return {
        step.key: wall
        * _ratio(busy[step.params.model], all_busy)
        * _ratio(_request_seconds(step, totals), model_request_seconds[step.params.model])
        for step in steps
    }


def _request_seconds(step: Step, totals: Mapping[str, StepTotal]) -> float:
    return totals.get(step.key, StepTotal()).request_seconds


def _ratio(some: float, whole: float) -> float:
    return some / whole if whole else 0.0
