"""Every number of every evaluated student, with what its tasks earned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.evaluate.scores import measures, name_of, points, scores
from pipelines.results.report.data.report import Result
from pipelines.results.report.data.task_scores import Marks, mean_by
from pipelines.rows.arrow import from_table
from pipelines.rows.types import AnswerRow
from pipelines.store.manifest import Manifest
from pipelines.store.store import Store
from pipelines.study.graph.grid import Cell, Grid
from pipelines.study.graph.params import EvaluateJob, VerdictJob
from pipelines.study.spec.benchmarks import Benchmark

Levels = tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Number:
    """One number of a benchmark, as in `Result`."""

    metric: str
    value: float
    low: float
    high: float
    by_level: Levels = ()


def results(grid: Grid, store: Store, manifests: Mapping[str, Manifest], folder: Path) -> dict[Result, Marks]:
    """In the order of the grid's cells, as far as they are finished; `manifests` are those of finished steps.

    `folder` is the study file's. Numbers that are no mean over tasks have empty marks, and no interval of their own.
    """
    return {found: marks for cell in grid.cells for found, marks in _of_cell(cell, store, manifests, folder)}


def marks(bench: Benchmark, rows: Sequence[AnswerRow]) -> dict[str, Marks]:
    """The points of every task by the benchmark's measures, the one that stands for it first."""
    found = {measure: Marks({}, {}) for measure in measures(bench, rows)}
    for measure, counted in found.items():
        for item, (got, of) in points(bench, rows, measure).items():
            counted.add(f"{bench.name} {item}", got, of)
    return found


def _of_cell(
    cell: Cell, store: Store, manifests: Mapping[str, Manifest], folder: Path
) -> Iterator[tuple[Result, Marks]]:
    trained = manifests.get(cell.train.key) if cell.train else None
    for benchmark, step in cell.evaluations:
        if step.key not in manifests:
            continue
        rows = from_table(AnswerRow, store.rows(step.kind, step.key))
        assert isinstance(step.job, EvaluateJob | VerdictJob)
        rows_out = trained.account.rows_out if trained else 0
        for number, found in numbers(step.job.benchmark, rows, folder):
            yield _result(cell, rows_out, benchmark, number), found


def numbers(bench: Benchmark, rows: Sequence[AnswerRow], folder: Path) -> Iterator[tuple[Number, Marks]]:
    """The numbers of a benchmark: those by tasks, then what is computed of all of them together."""
    by_task, others = marks(bench, rows), scores(bench, rows, folder)
    fitted = (others.pop("low"), others.pop("high")) if "low" in others else None  # Arena-Hard's own bootstrap
    for place, (measure, found) in enumerate(by_task.items()):
        low, high = fitted if fitted and place == 0 else found.interval()
        yield Number(name_of(measure), found.value, low, high, _by_level(rows, measure)), found
        others.pop(name_of(measure), None)
    for name, value in others.items():
        yield Number(name, value, value, value), Marks({}, {})


def _result(cell: Cell, rows: int, benchmark: str, number: Number) -> Result:
    pairs = cell.pairs
    return Result(
        benchmark=benchmark,
        metric=number.metric,
        student=cell.student.model,
        recipe=cell.student.recipe,
        seeds=pairs.seeds if pairs else "",
        evolver=pairs.evolved_by if pairs else "",
        round=pairs.round if pairs else -1,
        teacher=pairs.teacher if pairs else "",
        decoding=pairs.decoding if pairs else "",
        selection=cell.selection,
        rows=rows,
        value=number.value,
        low=number.low,
        high=number.high,
        by_level=number.by_level,
    )


def _by_level(rows: Iterable[AnswerRow], metric: str) -> Levels:
    """The mean of every level of difficulty, of benchmarks that have several."""
    found = [(row.level, 100.0 * value) for row in rows if (value := row.measure(metric)) is not None]
    levels = [level for level, _ in found]
    return mean_by(levels, [value for _, value in found]) if len(set(levels)) > 1 else ()
