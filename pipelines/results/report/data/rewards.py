"""The report's facts on rewards, CAR and flagged answers, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.results.report.data.set_key import SetKey
from pipelines.study.spec.pairs.scoring import RewardMode


@dataclass(frozen=True, slots=True)
class SetReward:
    """The rewards of one set by one model: mean and quartiles over the `rows` that have one (None if none has).

    `margin` is the mean difference, over the `shared` instructions, from the set of the same instructions with the
    highest mean; 0 for that set itself.
    """

    set: SetKey
    model: str
    rows: int
    skipped: int
    mean: float | None
    low: float | None
    median: float | None
    high: float | None
    margin: float | None
    shared: int


@dataclass(frozen=True, slots=True)
class SetCar:
    """CAR of one set (2411.07133) by beta, from the mean `reward` and `loss` of the `rows` that have both.

    `scorer` names the scorer of the loss if the study has several, with its model if that is the students' own base.
    """

    set: SetKey
    model: str
    mode: RewardMode
    rows: int
    reward: float
    loss: float
    by_beta: tuple[tuple[float, float], ...]
    scorer: str = ""


@dataclass(frozen=True, slots=True)
class AnswerFlags:
    """The numbers of truncated, empty and refusing answers of a teacher with one decoding variant, over all sets.

    `asked` counts all answers, including the empty ones, which are not in any data set.
    """

    teacher: str
    decoding: str
    asked: int
    truncated: int
    empty: int
    refused: int
