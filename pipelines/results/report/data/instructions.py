"""The report's facts on sets of instructions and on selections, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipelines.results.report.data.set_key import IN_TABLES_ONLY, InstructionKey, SetKey


@dataclass(frozen=True, slots=True)
class SetDiversity:
    """The distances between the instructions of one set (2412.11231, minimum neighbor distance).

    The mean and the quartiles are of the squared L2 distances to the nearest other instruction, over the `rows` that
    have one. The percentages are of rows with an equal instruction (distance 0), of rows with one nearer than 0.05, and
    by bins of [0, 1]. A bin is (lower edge, percentage); the last one includes all larger distances.
    """

    set: InstructionKey
    rows: int
    skipped: int
    mean: float | None
    low: float | None
    median: float | None
    high: float | None
    equal: float | None
    near: float | None
    bins: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class SetOverlap:
    """The overlap of one set's `rows` instructions with a source of tasks by one measure; `rate` is in percent.

    `example` is the text that one of them shares.
    """

    set: InstructionKey
    source: str
    measure: str
    rows: int
    flagged: int
    rate: float
    example: str


@dataclass(frozen=True, slots=True)
class SetSelection:
    """A selection from one data set: the mean of its metric over the `chosen` of `rows` pairs, and the range.

    `reasons` counts the other pairs by the reason for their rejection. If it stands for several seeds of answers,
    numbers are means, the range is that of all seeds, and `spread` is the standard deviation of the seeds' means.
    """

    set: SetKey
    selection: str
    by: str
    end: str
    rows: int
    chosen: int
    mean: float | None
    least: float | None
    most: float | None
    reasons: tuple[tuple[str, int], ...]
    spread: float | None = field(default=None, metadata=IN_TABLES_ONLY)
