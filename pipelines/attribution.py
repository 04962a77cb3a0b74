"""Steps of one stream overlap: each is given its part of the stream's wall time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from pipelines.study.steps import (
    CheckJob,
    ChooseJob,
    DrawJob,
    EliminateJob,
    EvolveJob,
    JudgeJob,
    RespondJob,
    RewardJob,
    ScoreJob,
    Step,
    VerdictJob,
)
from pipelines.totals import Total


def model_of(step: Step) -> str:
    """The model that a row-wise step asks."""
    assert isinstance(
        step.job,
        EvolveJob
        | EliminateJob
        | RespondJob
        | DrawJob
        | ChooseJob
        | CheckJob
        | ScoreJob
        | RewardJob
        | JudgeJob
        | VerdictJob,
    )
    return step.job.model


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
