"""Collects every benchmark number of every evaluated student, with the points of its tasks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.evaluate.scores import metric_label, metric_names, scores, task_points
from pipelines.results.report.data.report import Result
from pipelines.results.report.data.set_key import cell_coordinates
from pipelines.results.report.data.task_scores import LevelMean, TaskScores, mean_by
from pipelines.rows.arrow import from_table
from pipelines.rows.types import AnswerRow
from pipelines.store.manifest import Manifest
from pipelines.store.store import Store
from pipelines.study.graph.steps.grid import Cell, Grid
from pipelines.study.graph.steps.params.students import EvaluateParams, VerdictParams
from pipelines.study.spec.evaluation.benchmarks import Benchmark


@dataclass(frozen=True, slots=True)
class BenchmarkNumber:
    """One number of a benchmark, as in `Result`."""

    metric: str
    value: float
    low: float
    high: float
    by_level: tuple[LevelMean, ...] = ()


def collect_results(
    grid: Grid, store: Store, manifests: Mapping[str, Manifest], folder: Path
) -> dict[Result, TaskScores]:
    """Return the results of the finished evaluations with their tasks' points, in the order of the grid's cells.

    `manifests` are those of finished steps; `folder` is the study file's. A number that is not a mean over tasks has
    empty `TaskScores`, and no interval computed from them.
    """
    return {found: marks for cell in grid.cells for found, marks in _cell_results(cell, store, manifests, folder)}


def task_scores(bench: Benchmark, rows: Sequence[AnswerRow]) -> dict[str, TaskScores]:
    """Return the points of every task by the benchmark's measures, the headline measure first."""
    found = {measure: TaskScores({}, {}) for measure in metric_names(bench, rows)}
    for measure, counted in found.items():
        for item, (earned, of) in task_points(bench, rows, measure).items():
            counted.add(f"{bench.name} {item}", earned, of)
    return found


def _cell_results(
    cell: Cell, store: Store, manifests: Mapping[str, Manifest], folder: Path
) -> Iterator[tuple[Result, TaskScores]]:
    trained = manifests.get(cell.train.key) if cell.train else None
    for benchmark, step in cell.evaluations:
        if step.key not in manifests:
            continue
        rows = from_table(AnswerRow, store.rows(step.kind, step.key))
        assert isinstance(step.params, EvaluateParams | VerdictParams)
        rows_out = trained.account.rows_out if trained else 0
        for number, found in benchmark_numbers(step.params.benchmark, rows, folder):
            yield _result(cell, rows_out, benchmark, number), found


def benchmark_numbers(
    bench: Benchmark, rows: Sequence[AnswerRow], folder: Path
) -> Iterator[tuple[BenchmarkNumber, TaskScores]]:
    """Return the numbers of a benchmark: those by task first, then those that are computed from all tasks together."""
    by_task, others = task_scores(bench, rows), scores(bench, rows, folder)
    fitted = (others.pop("low"), others.pop("high")) if "low" in others else None  # Arena-Hard's own bootstrap
    for place, (measure, found) in enumerate(by_task.items()):
        low, high = fitted if fitted and place == 0 else found.interval()
        yield BenchmarkNumber(metric_label(measure), found.value, low, high, _means_by_level(rows, measure)), found
        others.pop(metric_label(measure), None)
    for name, value in others.items():
        yield BenchmarkNumber(name, value, value, value), TaskScores({}, {})


def _result(cell: Cell, rows: int, benchmark: str, number: BenchmarkNumber) -> Result:
    return Result(
        **cell_coordinates(cell),
        benchmark=benchmark,
        metric=number.metric,
        rows=rows,
        value=number.value,
        low=number.low,
        high=number.high,
        by_level=number.by_level,
    )


def _means_by_level(rows: Iterable[AnswerRow], metric: str) -> tuple[LevelMean, ...]:
    """Return the mean of every level of difficulty; empty for a benchmark with only one level."""
    found = [(row.level, 100.0 * value) for row in rows if (value := row.measure(metric)) is not None]
    levels = [level for level, _ in found]
    return mean_by(levels, [value for _, value in found]) if len(set(levels)) > 1 else ()
