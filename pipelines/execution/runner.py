"""Runs a study: executes the steps that are not finished in the store, phase by phase, and writes the report."""

from __future__ import annotations

import posixpath
import time
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain

from rich.console import Console
from rich.markup import escape

from cluster.connection.session import Session, connect
from cluster.resources.inventory import Inventory, max_inventory
from pipelines.errors import BudgetSpent
from pipelines.execution.live_recorder import LiveRecorder, recording
from pipelines.execution.reopening import Again, failed_rows, find_reopened, reopen_steps
from pipelines.execution.runtime.context import RunContext
from pipelines.execution.runtime.events import emit
from pipelines.execution.runtime.meter import ResourceMeter, metered
from pipelines.execution.runtime.progress import ProgressDisplay, ProgressObserver
from pipelines.execution.runtime.recovery import downstream_of, find_corrupt_steps, invalidate
from pipelines.execution.runtime.retry import RetryBudget, with_retries
from pipelines.execution.runtime.spending import within_budget
from pipelines.execution.runtime.telemetry import exporting_metrics
from pipelines.execution.search.decisions import is_settled
from pipelines.execution.search.scores import read_scores
from pipelines.execution.steps.given import run_given
from pipelines.execution.steps.seeds import run_seeds
from pipelines.execution.steps.selection import run_selections
from pipelines.execution.steps.unions import run_unions
from pipelines.execution.trackers.tracking import tracking
from pipelines.planning.cost import wall_seconds
from pipelines.planning.machine_types import MachineTypes
from pipelines.planning.memory import check_memory
from pipelines.planning.plan import Plan, make_plan, prompt_notes
from pipelines.results.report.graph import save_study_graph
from pipelines.results.report.publish import publish, report_path
from pipelines.store.epochs import next_epoch
from pipelines.store.lease import acquire, read_lease
from pipelines.store.store import Store
from pipelines.store.studies.finished_log import logging_finished
from pipelines.store.studies.retry_log import save_retries
from pipelines.store.studies.run_record import load_record, save_record
from pipelines.store.studies.step_index import index_is_saved, save_step_index
from pipelines.study.file.load import LoadedStudy
from pipelines.study.graph.steps.step import Step
from pipelines.study.inputs.benchmarks import reference_notes
from pipelines.study.inputs.precision import precision_notes
from pipelines.study.inputs.templates import template_notes
from pipelines.study.plugins.shipping import modules_to_ship
from pipelines.study.search_grid import search_grid


@dataclass(frozen=True, slots=True)
class Summary:
    """The result of a run: its steps, failure messages, actual and planned seconds, and the report's path or URL.

    `failed_rows` is the number of failed rows in all finished steps; in those of `failed_steps`, all rows have failed.
    """

    executed: int
    reused: int
    failures: list[str]
    seconds: float
    planned: float
    report: str
    failed_rows: int
    failed_steps: list[str]


@dataclass(frozen=True, slots=True)
class _RunInputs:
    """What to run and where, and the run's retries.

    `select_steps` limits the plan. With `probed_seeds`, it is a probe of the first `probed_seeds` seeds.
    """

    loaded: LoadedStudy
    store: Store
    address: str | None
    progress: ProgressDisplay
    select_steps: Callable[[Plan], Plan]
    probed_seeds: int | None
    retries: RetryBudget = field(default_factory=RetryBudget)

    def plan(self) -> Plan:
        """Return the plan of what to run, for the store as it is now."""
        plan = self.select_steps(make_plan(self.loaded.study, self.loaded.folder, self.store))
        if self.probed_seeds is not None:
            return plan.limited_to_probe()
        searched = search_grid(self.loaded.study, plan.grid)
        if searched and is_settled(searched, self.store, read_scores(searched, self.store, self.loaded.folder)):
            return replace(plan, pending=())
        return plan


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The plan of a run for its cluster, and the plan after it, in which failed steps are still pending.

    `wall_seconds` is the planned wall time, 0 for a run that needs no cluster. `failures` has a message for each
    failed step.
    """

    planned: Plan
    remaining: Plan
    wall_seconds: float = 0.0
    failures: tuple[str, ...] = ()


def run(
    loaded: LoadedStudy,
    store: Store,
    address: str | None,
    console: Console,
    select_steps: Callable[[Plan], Plan] = lambda plan: plan,
    retry_failed: bool = False,
    probed_seeds: int | None = None,
    observers: Sequence[ProgressObserver] = (),
) -> Summary:
    """Run a checked study, or the part of its plan that `select_steps` returns, and write the report.

    Without an address, a local Ray is started for the run. If the run is interrupted, finished steps and the finished
    parts of other steps stay in the store, and the next run resumes from them. With `retry_failed`, the failed rows of
    finished steps are asked for again.

    With `probed_seeds`, only row-wise steps run, for the first seeds of each set. The report is not written. What they
    make is in the store (`probes.first_rows`), and a later run continues from there.

    `observers` receive everything that is displayed.
    """
    study = loaded.study
    with metered() as meter, ProgressDisplay(console) as progress:
        progress.observers += observers
        inputs = _RunInputs(loaded, store, address, progress, select_steps, probed_seeds)
        plan = inputs.plan()
        again = find_reopened(store, plan) if retry_failed else {}
        reopened = f", {len(again)} of them are reopened for failed rows" if again else ""
        will = "will run" if not study.search or probed_seeds is not None else "can run, of which the search selects"
        progress.print(f"{study.study}: {len(plan.done)} steps are done{reopened}, {len(plan.pending)} {will}")
        notes = (template_notes(study, loaded.folder), reference_notes(study), prompt_notes(loaded, plan.grid))
        for note in chain.from_iterable(notes):
            progress.print(f"[yellow]{escape(note)}[/yellow]")
        corrupt = _corrupt_steps(store, plan, progress.print)
        has_work = again or plan.pending or corrupt or _stale_paths(store, plan.done) or read_lease(store, study.study)
        # gc would delete steps that no index lists
        has_work = has_work or not index_is_saved(store, study.study, plan.grid.steps)
        try:
            outcome = _run_locked(inputs, plan, corrupt, again) if has_work else _Outcome(plan, plan)
        except BudgetSpent as error:
            raise BudgetSpent(error.reached, _done_and_left(store, plan)) from None
        report = _write_report(inputs, outcome, meter) if probed_seeds is None else report_path(store, study.study)
        seconds = time.monotonic() - meter.started
    executed = len(outcome.planned.pending) - len(outcome.remaining.pending)
    reused = len(outcome.planned.done)
    failed, without_rows = failed_rows(store, outcome.remaining)
    failures = [*outcome.failures]
    return Summary(executed, reused, failures, seconds, outcome.wall_seconds, report, failed, without_rows)


def _done_and_left(store: Store, plan: Plan) -> str:
    done = len(store.finished_keys() & plan.grid.steps.keys())
    return f"{done} of {len(plan.grid.steps)} steps are done, {len(plan.grid.steps) - done} are left"


def _corrupt_steps(store: Store, plan: Plan, notify: Callable[[str], None]) -> list[Step]:
    """Return the steps that must be recomputed because they or their inputs are damaged; dependents come first."""
    steps = plan.grid.steps
    problems = find_corrupt_steps(store, steps, plan.done)
    for key, problem in problems.items():
        notify(
            f"[yellow]damaged[/yellow] {steps[key].label}: {escape(problem)}: recomputing it and all steps made from it"
        )
    corrupt = downstream_of(steps, problems) | problems.keys()
    return [step for step in reversed([*steps.values()]) if step.key in corrupt]


def _stale_paths(store: Store, done: Collection[str]) -> list[str]:
    """Return the paths of files that a killed run left beside finished steps."""
    return [path for path in store.stale_files() if posixpath.basename(posixpath.dirname(path)) in done]


def _run_locked(inputs: _RunInputs, plan: Plan, corrupt: list[Step], again: Mapping[str, Again]) -> _Outcome:
    """Run the pending, the corrupt and the reopened steps, as the study's only driver."""
    store, name = inputs.store, inputs.loaded.study.study
    step_keys = {step.key for step in (*plan.pending, *corrupt)} | again.keys()
    with acquire(store, name, step_keys, inputs.progress.print) as lease:
        store.fence, store.epoch = lease.check, next_epoch(store)
        damaged = {step.key for step in corrupt}
        reopen_steps(store, plan.grid.steps, {key: rows for key, rows in again.items() if key not in damaged})
        for step in corrupt:
            invalidate(store, step)
        store.remove(_stale_paths(store, plan.done - again.keys()))
        save_step_index(store, name, plan.grid.steps)
        if store.finished_keys() & plan.grid.steps.keys() != plan.done:  # another driver finished more
            plan = inputs.plan()
        kinds = {key: step.kind for key, step in plan.grid.steps.items()}
        try:
            with logging_finished(store, name, plan.done, kinds), recording(store, name, inputs.progress) as recorder:
                _save_graph(inputs, plan)
                with tracking(inputs.loaded, store, plan, inputs.progress):
                    return _run_plan(inputs, plan, recorder)
        finally:
            if not lease.lost.is_set():
                save_retries(store, name, inputs.retries.all())


def _save_graph(inputs: _RunInputs, plan: Plan) -> None:
    planned = {key: None if key in plan.unknown_steps else round(plan.seconds[key], 2) for key in plan.grid.steps}
    save_study_graph(inputs.store, inputs.loaded.study, inputs.loaded.folder, plan.grid, planned)


def _run_plan(inputs: _RunInputs, plan: Plan, recorder: LiveRecorder) -> _Outcome:
    """Run the pending steps of a plan: those that read files in this process, all others on the cluster."""
    loaded, seeds_steps = inputs.loaded, plan.pending_of("seeds", "given")
    for step in seeds_steps:
        read = run_seeds if step.kind == "seeds" else run_given
        inputs.progress.finish_step(read(loaded.study, loaded.folder, inputs.store, step))
    seeded = {step.key for step in seeds_steps}
    if len(seeds_steps) == len(plan.pending):
        return _Outcome(plan, plan.with_finished(seeded))
    with connect(inputs.address, modules=modules_to_ship()) as session:
        inputs.progress.print(f"Ray at {session.address}" + (" (started for this run)" if session.local else ""))
        for note in precision_notes(loaded.study) if session.local else ():
            inputs.progress.print(f"[yellow]{escape(note)}[/yellow]")
        cluster = max_inventory()
        check_memory(loaded.study, loaded.folder, cluster)
        plan = plan.on_machines(MachineTypes(loaded.study, loaded.folder, cluster))
        _save_graph(inputs, plan)
        wall = wall_seconds(plan, loaded.study, cluster) or 0.0
        with _run_context(inputs, plan, cluster, session, recorder) as context:
            emit("run started", run=context.run_id, steps=len(plan.pending), planned=round(wall, 1))
            remaining, failures = _run_pending(context, plan.with_finished(seeded))
    return _Outcome(plan, remaining, wall, tuple(failures))


@contextmanager
def _run_context(
    inputs: _RunInputs, plan: Plan, cluster: Inventory, session: Session, recorder: LiveRecorder
) -> Generator[RunContext]:
    """Yield the context of the phases, and export metrics in the block. Withdraw the autoscaler request at its end."""
    study = inputs.loaded.study
    with within_budget(study, inputs.store) as spending, exporting_metrics(study, plan) as observe_pools:
        context = RunContext(
            study,
            inputs.loaded.folder,
            inputs.store,
            inputs.progress,
            cluster,
            on_shared_cluster=not session.local,
            retries=inputs.retries,
            spending=spending,
            pool_observers=(observe_pools, recorder.observe_pools),
            probed_seeds=inputs.probed_seeds,
        )
        try:
            yield context
        finally:
            context.request_resources([])


def _run_pending(context: RunContext, plan: Plan) -> tuple[Plan, list[str]]:
    """Run the pending steps, or those that the study's search asks for."""
    from pipelines.execution.search.run import run_search

    searched = search_grid(context.study, plan.grid) if context.probed_seeds is None else None
    return run_search(context, plan, searched, _run_phases) if searched else _run_phases(context, plan)


def _run_phases(context: RunContext, plan: Plan) -> tuple[Plan, list[str]]:
    """Run all phases; return the plan after them and the messages of failed steps."""
    # imported late: they load Ray Data, Ray Train and torch, which a plan or a finished study does not need
    from pipelines.execution.steps.autoif import run_autoif
    from pipelines.execution.steps.contamination import run_contaminations
    from pipelines.execution.steps.diversity import run_diversities
    from pipelines.execution.steps.lengths import run_lengths
    from pipelines.execution.steps.method_optimization import run_optimizations
    from pipelines.execution.stream.run import run_stream, run_verdicts
    from pipelines.execution.training.run import run_training

    plan = _run_with_retries(context, "optimization of methods", run_optimizations, plan)
    plan = _run_with_retries(context, "AutoIF", run_autoif, plan)
    plan = _run_with_retries(context, "stream of rows", run_stream, plan)
    if context.probed_seeds is not None:
        return plan, []
    plan = run_unions(context, plan)
    plan = _run_with_retries(context, "diversity", run_diversities, plan)
    plan = _run_with_retries(context, "contamination", run_contaminations, plan)
    plan = run_lengths(context, plan)
    plan = run_selections(context, plan)
    plan, failures = run_training(context, plan)
    plan = _run_with_retries(context, "judges of answers", run_verdicts, plan)
    return plan, failures


def _run_with_retries(
    context: RunContext, label: str, run_phase: Callable[[RunContext, Plan], Plan], plan: Plan
) -> Plan:
    """Run a phase; after an infrastructure failure, run it again with the steps that are still pending."""

    def before_retry() -> None:
        nonlocal plan
        plan = plan.with_finished(context.store.finished_keys())
        context.store.epoch = next_epoch(context.store)  # keeps outputs of the previous attempt out of this one

    return with_retries(context.retries, label, lambda: run_phase(context, plan), context.progress.print, before_retry)


def _write_report(inputs: _RunInputs, outcome: _Outcome, meter: ResourceMeter) -> str:
    """Write the report if steps were executed or the study has none yet; return its path or URL."""
    store, study, plan = inputs.store, inputs.loaded.study, outcome.planned
    if plan.pending or load_record(store, study.study) is None:
        planned = {key: round(seconds, 2) for key, seconds in plan.seconds.items()}
        record = meter.record(planned, [step.key for step in plan.pending], outcome.wall_seconds)
        save_record(store, study.study, record)
        return publish(study, inputs.loaded.folder, plan.grid, store)
    return report_path(store, study.study)
