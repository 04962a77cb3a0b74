"""Previews a study: a few seeds through everything up to the scores. The run that follows repeats no request of it."""

from __future__ import annotations

import time
from collections.abc import Collection, Generator
from contextlib import contextmanager
from typing import Any, cast

from cluster.connection.session import connect
from cluster.resources.inventory import machine, max_inventory
from pipelines.coroutines import run_coroutine
from pipelines.errors import InputError
from pipelines.execution.previewing.engines import fits_here, local_pools
from pipelines.execution.previewing.model import Preview
from pipelines.execution.previewing.outcome import trees, whole_run
from pipelines.execution.previewing.scope import STARTS, reachable, read_finished, unreachable
from pipelines.execution.previewing.walk import Walk
from pipelines.execution.runtime.context import RunContext
from pipelines.execution.runtime.progress import ProgressDisplay
from pipelines.execution.runtime.spending import SpendingMeter, within_budget
from pipelines.execution.steps.given import run_given
from pipelines.execution.steps.seeds import run_seeds
from pipelines.execution.stream.operators import build_trees
from pipelines.planning.cost import wall_seconds
from pipelines.planning.plan import make_plan
from pipelines.planning.requests import replica_requests
from pipelines.store.epochs import next_epoch
from pipelines.store.lease import acquire
from pipelines.store.store import Store
from pipelines.store.studies.step_index import save_step_index
from pipelines.study.file.load import LoadedStudy
from pipelines.study.graph.steps.step import Step
from pipelines.study.plugins.shipping import modules_to_ship


def preview(
    loaded: LoadedStudy, store: Store, count: int, progress: ProgressDisplay, address: str | None = None
) -> Preview:
    """Pass `count` seeds of each seed set through every step whose rows are made one by one, and return the rows.

    The seeds are evenly spaced. Nothing is trained, and no step is finished but those that read files. Models that need
    no GPU and fit into this process are loaded into it; others, and all with an `address`, run on Ray.

    Raises:
        InputError: The study has no seeds.
        BudgetSpent: The study's budget is spent.
    """
    started, study = time.monotonic(), loaded.study
    if not study.seeds:
        raise InputError(f"the study '{study.study}' has no seeds, so there are no rows to preview")
    plan = make_plan(study, loaded.folder, store)
    steps = tuple(reachable(plan))
    own = [step.key for step in (*plan.pending_of(*STARTS), *steps)]
    with _driving(store, study.study, own, progress):
        save_step_index(store, study.study, plan.grid.steps)
        for step in plan.pending_of(*STARTS):
            (run_seeds if step.kind == "seeds" else run_given)(study, loaded.folder, store, step)
        plan = make_plan(study, loaded.folder, store)
        walk = Walk(store)
        totals = read_finished(store, plan, count, walk)
        with within_budget(study, store) as spending:
            _make_rows(loaded, walk, steps, _Resources(progress, spending, address))
    return Preview(
        study.study,
        trees(plan, walk, loaded),
        tuple(step.label for step in unreachable(plan, steps)),
        whole_run(plan, walk, loaded, totals),
        sum(total for total, _ in totals.values()),
        wall_seconds(plan, study, machine()),
        time.monotonic() - started,
        walk.totals()["asked"],
        walk.totals()["reused"],
    )


@contextmanager
def _driving(store: Store, study: str, steps: Collection[str], progress: ProgressDisplay) -> Generator[None]:
    """Be the study's only driver within the block. Afterwards, others may write with the same store object."""
    fence = store.fence
    with acquire(store, study, steps, progress.print) as lease:
        store.fence, store.epoch = lease.check, next_epoch(store)
        try:
            yield
        finally:
            store.fence = fence


class _Resources:
    """Where the models of a preview run: the messages of the run, its spending, and the address of a cluster."""

    def __init__(self, progress: ProgressDisplay, spending: SpendingMeter, address: str | None) -> None:
        self.progress, self.spending, self.address = progress, spending, address


def _make_rows(loaded: LoadedStudy, walk: Walk, steps: tuple[Step, ...], resources: _Resources) -> None:
    """Pass the walk's seeds through the steps, with engines in this process if they fit, else on Ray."""
    study, folder, names = loaded.study, loaded.folder, {step.params.model for step in steps} - {""}
    if not steps:
        return
    if resources.address is None and fits_here(study, folder, names):
        context = RunContext(study, folder, walk.store, resources.progress, machine())
        with local_pools(study, folder, names, resources.spending.add_tokens) as pools:
            run_coroutine(walk.run(build_trees(context, steps, cast(Any, pools), {})))
        return
    with connect(resources.address, modules=modules_to_ship()) as session:
        context = RunContext(
            study,
            folder,
            walk.store,
            resources.progress,
            max_inventory(),
            on_shared_cluster=not session.local,
            spending=resources.spending,
        )
        _make_rows_on_ray(context, walk, steps)


def _make_rows_on_ray(context: RunContext, walk: Walk, steps: tuple[Step, ...]) -> None:
    phases, requests = context.phases(steps), replica_requests(context.study)
    try:
        with context.residency() as residency:
            for number, phase in enumerate(phases):
                context.request_resources([requests[name] for name in phase.models])
                later = [phase.models for phase in phases[number + 1 :]]
                pools = residency.activate(phase.models, later, context.ready_timeout)
                run_coroutine(walk.run(build_trees(context, phase.steps, pools, {})))
    finally:
        context.request_resources([])
