"""What the report says of judges' words and of how scores are distributed, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from pipelines.results.report.data.set_key import InstructionKey, SetKey
from pipelines.study.spec.judging import JudgeMetric


class LabelShare(NamedTuple):
    """A label that a judge may give, and the percentage of rows that have it."""

    label: str
    percent: float


@dataclass(frozen=True, slots=True)
class SetJudgement:
    """A judge's word on a set of instructions, in one metric.

    `rows` were judged, `unread` of them without a reply that could be read. `shares` are percentages of all `rows`
    by label, `mean` is the mean score, `distinct` counts different keywords; each is empty or None for other metrics.
    """

    set: InstructionKey
    metric: JudgeMetric
    rows: int
    unread: int
    mean: float | None
    distinct: int | None
    shares: tuple[LabelShare, ...]


@dataclass(frozen=True, slots=True)
class SetDistribution:
    """Mean and quartiles of one score over the `rows` of a set that have it."""

    set: SetKey
    score: str
    rows: int
    mean: float
    low: float
    median: float
    high: float


@dataclass(frozen=True, slots=True)
class SetProbabilities:
    """Probabilities of the first tokens of a set's answers: `bins` are (lower edge, percentage of the tokens).

    Or of the evolver's replies under itself; then there is no teacher and no decoding (empty strings).
    """

    set: SetKey
    tokens: int
    mean: float
    bins: tuple[tuple[float, float], ...]
