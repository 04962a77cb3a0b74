"""Collects the report's facts on the optimization of methods: every candidate with its measurements and feedback."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.operators.evolve.failure_detector import CLASSES
from pipelines.results.report.data.report import MethodResult
from pipelines.rows.arrow import from_table
from pipelines.rows.types import MethodRow, Rejection
from pipelines.store.store import Store
from pipelines.study.graph.steps.grid import Grid
from pipelines.study.graph.steps.params.instructions import OptimizeParams


def collect_methods(store: Store, grid: Grid, done: frozenset[str]) -> Iterator[MethodResult]:
    """Yield all methods of the finished optimizations, in the order of their numbers."""
    for key, step in grid.steps.items():
        job = step.params
        if key in done and isinstance(job, OptimizeParams):
            seeds = step.inputs[0].subject
            evolver = step.subject.removeprefix(f"{seeds} ")  # with the evolution's name, if the study has several
            coordinates = (seeds, evolver, job.optimization.optimizer)
            rows = from_table(MethodRow, store.rows(step.kind, key))
            lost = from_table(Rejection, store.rows(step.kind, key, "rejected"))
            made = [(row.index, _measured_method(coordinates, row)) for row in rows]
            size = job.optimization.candidates + 1
            made += [(row.index, _rejected_method(coordinates, row, size)) for row in lost]
            yield from (result for _, result in sorted(made, key=lambda pair: pair[0]))


def _measured_method(coordinates: tuple[str, str, str], row: MethodRow) -> MethodResult:
    return MethodResult(
        *coordinates,
        step=row.step,
        candidate=row.candidate,
        outcome=row.outcome,
        failure_rate=100.0 * row.failure_rate,
        measured=row.measured,
        failures=tuple((name, count) for name in CLASSES if (count := getattr(row, name))),
        score=row.score,
        chosen=row.chosen,
        best=row.best,
        method=row.method,
        feedback=row.feedback,
        reply=row.raw,
    )


def _rejected_method(coordinates: tuple[str, str, str], row: Rejection, size: int) -> MethodResult:
    step, candidate = divmod(row.index, size)
    return MethodResult(
        *coordinates,
        step=step + 1,
        candidate=candidate,
        outcome=f"{row.status}:{row.reason}",
        failure_rate=None,
        measured=0,
        failures=(),
        score=None,
        chosen=False,
        best=False,
        method="",
        feedback=row.detail,
        reply=row.raw,
    )
