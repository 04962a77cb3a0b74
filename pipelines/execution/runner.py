"""Runs a study: what is not in the store yet, phase by phase, and then the report."""

from __future__ import annotations

import posixpath
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from rich.console import Console
from rich.markup import escape

from cluster.connection.session import connect
from pipelines.execution.runtime.commit import commit_rows
from pipelines.execution.runtime.context import RunContext
from pipelines.execution.runtime.events import emit
from pipelines.execution.runtime.meter import ResourceMeter, metered
from pipelines.execution.runtime.progress import ProgressDisplay
from pipelines.execution.runtime.recovery import downstream_of, find_corrupt_steps, invalidate
from pipelines.execution.steps import seeds
from pipelines.execution.steps.selection import run_selections
from pipelines.planning.cost import wall_seconds
from pipelines.planning.machine_types import MachineTypes
from pipelines.planning.memory import check_memory
from pipelines.planning.plan import Plan, make_plan
from pipelines.results.report.publish import publish, report_path
from pipelines.store.epochs import next_epoch
from pipelines.store.lease import acquire, read_lease
from pipelines.store.store import Store
from pipelines.store.studies.retry_log import save_retries
from pipelines.store.studies.run_record import load_record, save_record
from pipelines.store.studies.step_index import index_is_saved, save_step_index
from pipelines.study.file.load import LoadedStudy
from pipelines.study.graph.params import SeedsParams
from pipelines.study.graph.step import Step


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did, what it could not do, and where its report is (a path or URL)."""

    executed: int
    reused: int
    failures: list[str]
    seconds: float
    planned: float
    report: str


def run(
    loaded: LoadedStudy,
    store: Store,
    address: str | None,
    console: Console,
    select_steps: Callable[[Plan], Plan] = lambda plan: plan,
) -> Summary:
    """Run a checked study, or of its plan what `select_steps` leaves. Without an address, a local Ray lives as long as
    the run.

    An interrupted run leaves finished steps and the parts of unfinished ones: running again continues there.
    """
    with metered() as meter, ProgressDisplay(console) as progress:
        context = _make_context(loaded, store, progress, select_steps)
        plan = context.plan
        progress.print(f"{loaded.study.study}: {len(plan.done)} steps are done, {len(plan.pending)} will run")
        corrupt = _corrupt_steps(context)
        has_work = plan.pending or corrupt or _stale_paths(context) or read_lease(store, loaded.study.study)
        has_work = has_work or not index_is_saved(
            store, loaded.study.study, plan.grid.steps
        )  # gc would take them for unneeded
        failures = _run_locked(context, address, corrupt) if has_work else []
        report = _write_report(context, meter)
        seconds = time.monotonic() - meter.started
    executed = len(context.plan.pending) - _unfinished_count(context)
    return Summary(executed, len(context.plan.done), failures, seconds, context.planned_wall, report)


def _unfinished_count(context: RunContext) -> int:
    return (
        len({step.key for step in context.plan.pending} - context.store.finished_keys()) if context.plan.pending else 0
    )


def _make_context(
    loaded: LoadedStudy, store: Store, progress: ProgressDisplay, select_steps: Callable[[Plan], Plan]
) -> RunContext:
    plan = select_steps(make_plan(loaded.study, loaded.folder, store))
    return RunContext(loaded.study, loaded.folder, store, plan, progress)


def _corrupt_steps(context: RunContext) -> list[Step]:
    """Steps whose results or parts must be made again, because they or what they were made of is damaged; those that
    are made of others come first."""
    steps, done = context.plan.grid.steps, context.plan.done
    problems = find_corrupt_steps(context.store, steps, done)
    for key, problem in problems.items():
        context.progress.print(
            f"[yellow]damaged[/yellow] {steps[key].label}: {escape(problem)}: made again, with all made of it"
        )
    corrupt = downstream_of(steps, problems) | problems.keys()
    return [step for step in reversed([*steps.values()]) if step.key in corrupt]


def _stale_paths(context: RunContext) -> list[str]:
    """What a run that was killed has left beside finished steps."""
    left = context.store.stale_files()
    return [path for path in left if posixpath.basename(posixpath.dirname(path)) in context.plan.done]


def _run_locked(context: RunContext, address: str | None, corrupt: list[Step]) -> list[str]:
    """Run what is unfinished, and what is spoilt, as the study's one driver."""
    store, plan = context.store, context.plan
    step_keys = {step.key for step in (*plan.pending, *corrupt)}
    with acquire(store, context.study.study, step_keys, context.progress.print) as lease:
        store.fence, store.epoch = lease.check, next_epoch(store)
        for step in corrupt:
            invalidate(store, step)
        store.remove(_stale_paths(context))
        save_step_index(store, context.study.study, plan.grid.steps)
        if store.finished_keys() & plan.grid.steps.keys() != plan.done:  # whoever held it before has gone on meanwhile
            context.plan = make_plan(context.study, context.folder, store)
        try:
            return _run_phases(context, address)
        finally:
            if not lease.lost.is_set():
                save_retries(store, context.study.study, context.retries.all())


def _run_phases(context: RunContext, address: str | None) -> list[str]:
    for step in context.plan.pending_of("seeds"):
        run_seeds(context, step)
    if all(step.kind == "seeds" for step in context.plan.pending):
        return []
    with connect(address) as session:
        context.progress.print(f"Ray at {session.address}" + (" (started for this run)" if session.local else ""))
        check_memory(context.study, context.folder, context.cluster)
        context.plan = context.plan.on_machines(MachineTypes(context.study, context.folder, context.cluster))
        context.planned_wall = wall_seconds(context.plan, context.study, context.cluster) or 0.0
        emit("run started", run=context.run_id, steps=len(context.plan.pending), planned=round(context.planned_wall, 1))
        # these import Ray Data, Ray Train and torch: a plan or a finished study should not wait for that
        from pipelines.execution.runtime.telemetry import exporting_metrics
        from pipelines.execution.steps.autoif import run_autoif
        from pipelines.execution.steps.contamination import run_contaminations
        from pipelines.execution.steps.diversity import run_diversities
        from pipelines.execution.steps.method_optimization import run_optimizations
        from pipelines.execution.stream.run import run_stream, run_verdicts
        from pipelines.execution.training.run import run_training

        context.on_shared_cluster = not session.local
        with exporting_metrics(context), _release_resources(context):
            _run_with_retries(context, "optimization of methods", run_optimizations)
            _run_with_retries(context, "AutoIF", run_autoif)
            _run_with_retries(context, "stream of rows", run_stream)
            _run_with_retries(context, "diversity", run_diversities)
            _run_with_retries(context, "contamination", run_contaminations)
            run_selections(context)
            failures = run_training(context)
            _run_with_retries(context, "judges of answers", run_verdicts)
        return failures


@contextmanager
def _release_resources(context: RunContext) -> Generator[None]:
    """Ask the cluster for nothing any more at the end."""
    try:
        yield
    finally:
        context.request_resources([])


def _run_with_retries(context: RunContext, label: str, run: Callable[[RunContext], None]) -> None:
    """Run a phase; after a failure of infrastructure again, with what is still unfinished."""
    from pipelines.execution.runtime.retry import with_retries

    full_plan = context.plan

    def before_retry() -> None:
        done = context.store.finished_keys() & context.plan.grid.steps.keys()
        pending = tuple(step for step in context.plan.pending if step.key not in done)
        context.plan = replace(context.plan, done=done, pending=pending)
        context.store.epoch = next_epoch(context.store)  # what is left of the attempt before must not mix with this one

    try:
        with_retries(context.retries, label, lambda: run(context), context.progress.print, before_retry)
    finally:
        context.plan = full_plan


def run_seeds(context: RunContext, step: Step) -> None:
    job = step.params
    assert isinstance(job, SeedsParams)
    started = time.monotonic()
    rows, bad = seeds.seed_rows(job.seeds, context.folder, context.study.seed, step.key)
    seconds = time.monotonic() - started
    manifest = commit_rows(context.store, step, [*rows], bad, len(rows) + len(bad), seconds)
    context.progress.finish(step.key, context.describe(manifest))


def _write_report(context: RunContext, meter: ResourceMeter) -> str:
    """Write the report if anything ran or there is none yet."""
    store, study, plan = context.store, context.study, context.plan
    if plan.pending or load_record(store, study.study) is None:
        planned = {key: round(seconds, 2) for key, seconds in plan.seconds.items()}
        record = meter.record(planned, [step.key for step in plan.pending], context.planned_wall)
        save_record(store, study.study, record)
        return publish(study, context.folder, plan.grid, store)
    return report_path(store, study.study)
