"""What the report says of rewards, CAR and flagged answers, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.results.report.data.set_key import SetKey
from pipelines.study.spec.scoring import RewardMode


@dataclass(frozen=True, slots=True)
class SetReward:
    """The rewards of one set by one model: mean and quartiles of the `rows` that have one (None without any).

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
    """CAR of one set (2411.07133) by beta, from the mean `reward` and `loss` of the `rows` that have both."""

    set: SetKey
    model: str
    mode: RewardMode
    rows: int
    reward: float
    loss: float
    by_beta: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class AnswerFlags:
    """How many answers of a teacher, in one way of decoding, were cut off, empty or refusals, over all sets.

    `asked` counts the answers that came, empty ones included; empty ones are in no set.
    """

    teacher: str
    decoding: str
    asked: int
    truncated: int
    empty: int
    refused: int
