"""Heat maps, one per student: a row per evolver and round, a column per teacher, shaded by the gain over the base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from pipelines.results.report.data.report import Result
from pipelines.results.report.tables.summary import UNTUNED, GainRow, gain_rows, sort_by_size


@dataclass(frozen=True, slots=True)
class HeatCell:
    """The mean over `count` results. `shade` (-1 to 1) is the gain relative to the largest one on the page."""

    value: float
    delta: float | None
    count: int
    shade: float


@dataclass(frozen=True, slots=True)
class HeatRow:
    """One evolver at one round; `evolver` is empty for un-evolved seeds. A cell without results is None."""

    evolver: str
    round: int
    cells: tuple[HeatCell | None, ...]


@dataclass(frozen=True, slots=True)
class HeatTable:
    """One student on one benchmark; `base` is the untuned student's score."""

    student: str
    recipe: str
    benchmark: str
    base: float | None
    teachers: tuple[str, ...]
    rows: tuple[HeatRow, ...]


def heatmap_tables(results: Sequence[Result], sizes: Sequence[tuple[str, int]]) -> list[HeatTable]:
    """Return one table per student, recipe and benchmark, in the order of the results.

    `sizes` are the parameters of the models, by which rows and columns are sorted.
    """
    tuned = [row for row in gain_rows(results) if row.result.round != UNTUNED]
    max_gain = max((abs(row.delta) for row in tuned if row.delta is not None), default=0.0) or 1.0
    keys = dict.fromkeys((row.result.student, row.result.recipe, row.result.measure) for row in tuned)
    return [_table(sizes, key, [row for row in tuned if _key(row) == key], max_gain) for key in keys]


def _key(row: GainRow) -> tuple[str, str, str]:
    return row.result.student, row.result.recipe, row.result.measure


def _table(
    sizes: Sequence[tuple[str, int]], key: tuple[str, str, str], found: Sequence[GainRow], max_gain: float
) -> HeatTable:
    teachers = sort_by_size((row.result.teacher for row in found), sizes)
    evolvers = ["", *sort_by_size((row.result.evolver for row in found), sizes)]
    lines = sorted({(evolvers.index(row.result.evolver), row.result.round) for row in found})
    base = found[0].base
    return HeatTable(
        *key,
        base=None if base is None else base.value,
        teachers=tuple(teachers),
        rows=tuple(
            HeatRow(
                evolvers[index], number, tuple(_cell(found, evolvers[index], number, t, max_gain) for t in teachers)
            )
            for index, number in lines
        ),
    )


def _cell(found: Sequence[GainRow], evolver: str, number: int, teacher: str, max_gain: float) -> HeatCell | None:
    coordinates = (evolver, number, teacher)
    cell_rows = [row for row in found if (row.result.evolver, row.result.round, row.result.teacher) == coordinates]
    if not cell_rows:
        return None
    deltas = [row.delta for row in cell_rows if row.delta is not None]
    delta = fmean(deltas) if deltas else None
    return HeatCell(fmean(row.result.value for row in cell_rows), delta, len(cell_rows), (delta or 0.0) / max_gain)
