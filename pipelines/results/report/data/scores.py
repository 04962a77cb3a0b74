"""The report's facts on judges' ratings and on distributions of scores, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from pipelines.results.report.data.set_key import IN_TABLES_ONLY, InstructionKey, SetKey
from pipelines.study.spec.pairs.scoring import JudgeMetric


class LabelShare(NamedTuple):
    """A label of a judge, and the percentage of rows that have it."""

    label: str
    percent: float


@dataclass(frozen=True, slots=True)
class SetJudgement:
    """A judge's ratings of a set of instructions in one metric.

    `rows` is the number of judged rows; `unread` of them have no readable reply. `shares` are percentages of all
    `rows` by label, `mean` is the mean score (of tags: their mean number), `distinct` counts different keywords or
    tags, and `diversity` is the number of different tags by instruction in a sample. Each is empty or None if it does
    not belong to the metric.
    """

    set: InstructionKey
    metric: JudgeMetric
    rows: int
    unread: int
    mean: float | None
    distinct: int | None
    shares: tuple[LabelShare, ...]
    diversity: float | None = None


@dataclass(frozen=True, slots=True)
class SetDistribution:
    """Mean and quartiles of one score over the `rows` of a data set that have it.

    Of several seeds of answers, all are means, and `spread` is the standard deviation of the seeds' means.
    """

    set: SetKey
    score: str
    rows: int
    mean: float
    low: float
    median: float
    high: float
    spread: float | None = field(default=None, metadata=IN_TABLES_ONLY)


@dataclass(frozen=True, slots=True)
class SetProbabilities:
    """Probabilities of the first tokens of a set's answers or of the evolver's replies. `bins`: (lower edge, percent).

    `scorer` is empty if the study has one scorer. For the evolver's replies, the probabilities are the evolver's, and
    scorer, teacher and decoding are empty strings.
    """

    set: SetKey
    scorer: str
    tokens: int
    mean: float
    bins: tuple[tuple[float, float], ...]
