"""Steps of one stream overlap: each is given its part of the stream's wall time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from pipelines.execution.stream.totals import Total
from pipelines.study.graph.step import Step, model_of


def step_seconds(
    steps: tuple[Step, ...], totals: Mapping[str, Total], busy: Mapping[str, float], wall: float
) -> dict[str, float]:
    """Seconds by step key, together `wall`: a model's part is the time that its engine was busy, a step's part of
    that is the time that its requests took (waiting included, which all steps of a model share alike)."""
    waited: dict[str, float] = defaultdict(float)
    for step in steps:
        waited[model_of(step)] += _waited(step, totals)
    all_busy = sum(busy.values())
    return {
        step.key: wall * _part(busy[model_of(step)], all_busy) * _part(_waited(step, totals), waited[model_of(step)])
        for step in steps
    }


def _waited(step: Step, totals: Mapping[str, Total]) -> float:
    return totals.get(step.key, Total()).waited


def _part(some: float, whole: float) -> float:
    return some / whole if whole else 0.0
