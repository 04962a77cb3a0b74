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
from pipelines.execution.runtime.context import Context
from pipelines.execution.runtime.events import event
from pipelines.execution.runtime.meter import Meter, metered
from pipelines.execution.runtime.progress import Board
from pipelines.execution.runtime.recovery import damaged, made_of, withdraw
from pipelines.execution.steps import seeds
from pipelines.execution.steps.selection import run_selections
from pipelines.planning.cost import wall
from pipelines.planning.machine_types import Kinds
from pipelines.planning.memory import check_footprints
from pipelines.planning.plan import Plan, make_plan
from pipelines.results.report.publish import publish, report_path
from pipelines.store.epochs import next_epoch
from pipelines.store.lease import held, read
from pipelines.store.store import Store
from pipelines.store.studies.retry_log import save_retries
from pipelines.store.studies.run_record import load_record, save_record
from pipelines.store.studies.step_index import are_kept, save_needs
from pipelines.study.file.load import Loaded
from pipelines.study.graph.params import SeedsJob
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
    loaded: Loaded,
    store: Store,
    address: str | None,
    console: Console,
    only: Callable[[Plan], Plan] = lambda plan: plan,
) -> Summary:
    """Run a checked study, or of its plan what `only` leaves. Without an address, a local Ray lives as long as the run.

    An interrupted run leaves finished steps and the parts of unfinished ones: running again continues there.
    """
    with metered() as meter, Board(console) as board:
        context = _context(loaded, store, board, only)
        plan = context.plan
        board.say(f"{loaded.study.study}: {len(plan.done)} steps are done, {len(plan.pending)} will run")
        spoilt = _spoilt(context)
        begun = plan.pending or spoilt or _leftovers(context) or read(store, loaded.study.study)
        begun = begun or not are_kept(store, loaded.study.study, plan.grid.steps)  # gc would take them for unneeded
        failures = _run_held(context, address, spoilt) if begun else []
        report = _report(context, meter)
        seconds = time.monotonic() - meter.started
    executed = len(context.plan.pending) - _unfinished(context)
    return Summary(executed, len(context.plan.done), failures, seconds, context.planned_wall, report)


def _unfinished(context: Context) -> int:
    return len({step.key for step in context.plan.pending} - context.store.done()) if context.plan.pending else 0


def _context(loaded: Loaded, store: Store, board: Board, only: Callable[[Plan], Plan]) -> Context:
    plan = only(make_plan(loaded.study, loaded.folder, store))
    return Context(loaded.study, loaded.folder, store, plan, board)


def _spoilt(context: Context) -> list[Step]:
    """Steps whose results or parts must be made again, because they or what they were made of is damaged; those that
    are made of others come first."""
    steps, done = context.plan.grid.steps, context.plan.done
    found = damaged(context.store, steps, done)
    for key, wrong in found.items():
        context.board.say(
            f"[yellow]damaged[/yellow] {steps[key].label}: {escape(wrong)}: made again, with all made of it"
        )
    spoilt = made_of(steps, found) | found.keys()
    return [step for step in reversed([*steps.values()]) if step.key in spoilt]


def _leftovers(context: Context) -> list[str]:
    """What a run that was killed has left beside finished steps."""
    left = context.store.leftovers()
    return [path for path in left if posixpath.basename(posixpath.dirname(path)) in context.plan.done]


def _run_held(context: Context, address: str | None, spoilt: list[Step]) -> list[str]:
    """Run what is unfinished, and what is spoilt, as the study's one driver."""
    store, plan = context.store, context.plan
    ours = {step.key for step in (*plan.pending, *spoilt)}
    with held(store, context.study.study, ours, context.board.say) as lease:
        store.fence, store.epoch = lease.check, next_epoch(store)
        for step in spoilt:
            withdraw(store, step)
        store.remove(_leftovers(context))
        save_needs(store, context.study.study, plan.grid.steps)
        if store.done() & plan.grid.steps.keys() != plan.done:  # whoever held it before has gone on meanwhile
            context.plan = make_plan(context.study, context.folder, store)
        try:
            return _run_phases(context, address)
        finally:
            if not lease.lost.is_set():
                save_retries(store, context.study.study, context.retries.all())


def _run_phases(context: Context, address: str | None) -> list[str]:
    for step in context.plan.pending_of("seeds"):
        run_seeds(context, step)
    if all(step.kind == "seeds" for step in context.plan.pending):
        return []
    with connect(address) as session:
        context.board.say(f"Ray at {session.address}" + (" (started for this run)" if session.local else ""))
        check_footprints(context.study, context.folder, context.cluster)
        context.plan = context.plan.on(Kinds(context.study, context.folder, context.cluster))
        context.planned_wall = wall(context.plan, context.study, context.cluster) or 0.0
        event("run started", run=context.run, steps=len(context.plan.pending), planned=round(context.planned_wall, 1))
        # these import Ray Data, Ray Train and torch: a plan or a finished study should not wait for that
        from pipelines.execution.runtime.telemetry import observed
        from pipelines.execution.steps.autoif import run_autoif
        from pipelines.execution.steps.contamination import run_contaminations
        from pipelines.execution.steps.diversity import run_diversities
        from pipelines.execution.steps.method_optimization import run_optimizations
        from pipelines.execution.stream.run import run_stream, run_verdicts
        from pipelines.execution.training.run import run_students

        context.joined = not session.local
        with observed(context), _released(context):
            _insist(context, "optimization of methods", run_optimizations)
            _insist(context, "AutoIF", run_autoif)
            _insist(context, "stream of rows", run_stream)
            _insist(context, "diversity", run_diversities)
            _insist(context, "contamination", run_contaminations)
            run_selections(context)
            failures = run_students(context)
            _insist(context, "judges of answers", run_verdicts)
        return failures


@contextmanager
def _released(context: Context) -> Generator[None]:
    """Ask the cluster for nothing any more at the end."""
    try:
        yield
    finally:
        context.ask([])


def _insist(context: Context, label: str, run: Callable[[Context], None]) -> None:
    """Run a phase; after a failure of infrastructure again, with what is still unfinished."""
    from pipelines.execution.runtime.retry import tried_again

    whole = context.plan

    def before() -> None:
        done = context.store.done() & context.plan.grid.steps.keys()
        pending = tuple(step for step in context.plan.pending if step.key not in done)
        context.plan = replace(context.plan, done=done, pending=pending)
        context.store.epoch = next_epoch(context.store)  # what is left of the attempt before must not mix with this one

    try:
        tried_again(context.retries, label, lambda: run(context), context.board.say, before)
    finally:
        context.plan = whole


def run_seeds(context: Context, step: Step) -> None:
    job = step.job
    assert isinstance(job, SeedsJob)
    started = time.monotonic()
    rows, bad = seeds.make(job.seeds, context.folder, context.study.seed, step.key)
    seconds = time.monotonic() - started
    manifest = commit_rows(context.store, step, [*rows], bad, len(rows) + len(bad), seconds)
    context.board.finish(step.key, context.told(manifest))


def _report(context: Context, meter: Meter) -> str:
    """Write the report if anything ran or there is none yet."""
    store, study, plan = context.store, context.study, context.plan
    if plan.pending or load_record(store, study.study) is None:
        planned = {key: round(seconds, 2) for key, seconds in plan.seconds.items()}
        record = meter.record(planned, [step.key for step in plan.pending], context.planned_wall)
        save_record(store, study.study, record)
        return publish(study, context.folder, plan.grid, store)
    return report_path(store, study.study)
