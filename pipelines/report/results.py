"""Every number of every evaluated student, with what its tasks earned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pipelines.evaluate.scores import measures, name_of, points
from pipelines.report.data import Result
from pipelines.report.marks import Marks
from pipelines.report.statistics import mean_by
from pipelines.rows import AnswerRow, from_table
from pipelines.store.manifest import Manifest
from pipelines.store.store import Store
from pipelines.study.benchmarks import Benchmark
from pipelines.study.grid import Cell, Grid
from pipelines.study.steps import EvaluateJob, VerdictJob


def results(grid: Grid, store: Store, manifests: Mapping[str, Manifest]) -> dict[Result, Marks]:
    """In the order of the grid's cells, as far as they are finished; `manifests` are those of finished steps."""
    return {found: marks for cell in grid.cells for found, marks in _of_cell(cell, store, manifests)}


def marks(bench: Benchmark, rows: Sequence[AnswerRow]) -> dict[str, Marks]:
    """The points of every task by the benchmark's measures, the one that stands for it first."""
    found = {measure: Marks({}, {}) for measure in measures(bench, rows)}
    for measure, counted in found.items():
        for item, (got, of) in points(bench, rows, measure).items():
            counted.add(f"{bench.name} {item}", got, of)
    return found


def _of_cell(cell: Cell, store: Store, manifests: Mapping[str, Manifest]) -> Iterator[tuple[Result, Marks]]:
    pairs = cell.pairs
    trained = manifests.get(cell.train.key) if cell.train else None
    for benchmark, step in cell.evaluations:
        if step.key not in manifests:
            continue
        rows = from_table(AnswerRow, store.rows(step.kind, step.key))
        assert isinstance(step.job, EvaluateJob | VerdictJob)
        for measure, found in marks(step.job.benchmark, rows).items():
            low, high = found.interval()
            yield (
                Result(
                    benchmark=benchmark,
                    metric=name_of(measure),
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
                    by_level=_by_level(rows, measure),
                ),
                found,
            )


def _by_level(rows: Iterable[AnswerRow], metric: str) -> tuple[tuple[int, float], ...]:
    """The mean of every level of difficulty, of benchmarks that have several."""
    found = [(row.level, 100.0 * value) for row in rows if (value := row.measure(metric)) is not None]
    levels = [level for level, _ in found]
    return mean_by(levels, [value for _, value in found]) if len(set(levels)) > 1 else ()
