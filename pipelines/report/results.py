"""Every number of every evaluated student, with what its tasks earned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from pipelines.report.data import Result
from pipelines.report.marks import Marks
from pipelines.report.statistics import mean_by
from pipelines.rows import AnswerRow, from_table
from pipelines.store.manifest import Manifest
from pipelines.store.store import Store
from pipelines.study.grid import Cell, Grid


def results(grid: Grid, store: Store, manifests: Mapping[str, Manifest]) -> dict[Result, Marks]:
    """In the order of the grid's cells, as far as they are finished; `manifests` are those of finished steps."""
    return {found: marks for cell in grid.cells for found, marks in _of_cell(cell, store, manifests)}


def marks(benchmark: str, rows: Iterable[AnswerRow]) -> dict[str, Marks]:
    """The points of every task by the benchmark's measures."""
    found: dict[str, Marks] = defaultdict(lambda: Marks({}, {}))
    for row in rows:
        task = f"{benchmark} {row.item}"
        for measure, value, weight in zip(row.measures, row.values, row.weights, strict=True):
            found[measure].add(task, value * weight, weight)
    return dict(found)


def _of_cell(cell: Cell, store: Store, manifests: Mapping[str, Manifest]) -> Iterator[tuple[Result, Marks]]:
    pairs = cell.pairs
    trained = manifests.get(cell.train.key) if cell.train else None
    for benchmark, step in cell.evaluations:
        if step.key not in manifests:
            continue
        rows = from_table(AnswerRow, store.rows(step.kind, step.key))
        for metric, found in marks(benchmark, rows).items():
            low, high = found.interval()
            yield (
                Result(
                    benchmark=benchmark,
                    metric=metric,
                    student=cell.student.model,
                    recipe=cell.student.recipe,
                    seeds=pairs.seeds if pairs else "",
                    evolver=pairs.evolved_by if pairs else "",
                    round=pairs.round if pairs else -1,
                    teacher=pairs.teacher if pairs else "",
                    decoding=pairs.decoding if pairs else "",
                    selection=cell.selection,
                    rows=trained.account.rows_out if trained else 0,
                    value=found.value,
                    low=low,
                    high=high,
                    by_level=_by_level(rows, metric),
                ),
                found,
            )


def _by_level(rows: Iterable[AnswerRow], metric: str) -> tuple[tuple[int, float], ...]:
    """The mean of every level of difficulty, of benchmarks that have several."""
    found = [(row.level, 100.0 * value) for row in rows if (value := row.measure(metric)) is not None]
    levels = [level for level, _ in found]
    return mean_by(levels, [value for _, value in found]) if len(set(levels)) > 1 else ()
