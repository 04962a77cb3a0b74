"""What the report says of sets of instructions and of what is chosen from them, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.results.report.data.set_key import InstructionKey, SetKey


@dataclass(frozen=True, slots=True)
class SetDiversity:
    """How near the instructions of one set are to one another (2412.11231, minimum neighbor distance).

    Mean and quartiles of the squared L2 distances to the nearest other instruction, of the `rows` that have one;
    percentages of these with an equal one (distance 0) and with one nearer than 0.05; percentages by bins of [0, 1],
    each with its lower end, the last one with all that is farther.
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
    """How many of one set's `rows` instructions overlap with a source of tasks by one measure; `rate` in per cent.

    `example` is what one of them shares.
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
    """What a selection chose of one set: the mean of its metric over all `chosen` of `rows` pairs, and the range.

    `reasons` counts the others by why they were left out.
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
