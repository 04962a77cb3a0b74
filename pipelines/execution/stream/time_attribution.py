"""Divides the wall time of a stream among its steps, which overlap."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from pipelines.execution.stream.totals import StepTotal
from pipelines.study.graph.steps.step import Step


def attribute_time(
    steps: tuple[Step, ...], totals: Mapping[str, StepTotal], busy: Mapping[str, float], wall: float
) -> dict[str, float]:
    """Return seconds by step key, which add up to `wall`.

    Each model gets a share in proportion to the busy time of its engine (`busy`, seconds by model). A model's share is
    divided among its steps in proportion to the seconds that their requests took. These include waiting, which affects
    all steps of a model equally.
    """
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
