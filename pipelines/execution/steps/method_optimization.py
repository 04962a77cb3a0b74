"""Runs optimizations of methods. Each is committed as a step with the optimizer's replies and all scored candidates."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from actors.engine import Client
from cluster.errors import ClusterError
from cluster.resources.inventory import Inventory
from cluster.resources.placement import fit_together
from pipelines.coroutines import run_coroutine
from pipelines.execution.runtime.commit import commit_rows
from pipelines.execution.runtime.context import RunContext
from pipelines.execution.runtime.progress import ProgressDisplay
from pipelines.operators.evolve.method_optimizer import AutoEvol
from pipelines.planning.plan import Plan
from pipelines.planning.requests import replica_requests
from pipelines.rows.arrow import from_table
from pipelines.rows.types import InstructionRow
from pipelines.store.journaled_client import JournaledClient, journaling
from pipelines.store.manifest import Manifest
from pipelines.store.store import Store
from pipelines.study.graph.steps.params.instructions import OptimizeParams
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.study import Study

OnProgress = Callable[[int], None]


def run_optimizations(context: RunContext, plan: Plan) -> Plan:
    """Run and commit all pending optimize steps, one after another; return the plan with them finished.

    A step alternates between evolver and optimizer, so both must be loaded at the same time.

    Raises:
        ClusterError: If the models of a step do not fit into the cluster together.
    """
    steps = plan.pending_of("optimize")
    if not steps:
        return plan
    models_by_step = [models_of(step) for step in steps]
    for models in models_by_step:
        check_capacity(context.study, context.cluster, models)
    with context.residency() as stage:
        for number, step in enumerate(steps):
            pools = stage.activate(models_by_step[number], models_by_step[number + 1 :], context.ready_timeout)
            clients = {name: pool.client() for name, pool in pools.items()}
            manifest = run_optimization(context.store, step, clients, _display(context.progress, step))
            context.progress.finish_step(manifest)
    return plan.with_finished(step.key for step in steps)


def run_optimization(
    store: Store, step: Step, clients: Mapping[str, Client], on_progress: OnProgress = lambda done: None
) -> Manifest:
    """Run and commit one optimization whose seeds are finished. Requests that were answered before are not repeated.

    `clients` are keyed by model name. The manifest's `extra` counts all requests.
    """
    job, source = _params(step), step.inputs[0]
    started = time.monotonic()
    seeds = from_table(InstructionRow, store.rows(source.kind, source.key))

    journaled = {name: JournaledClient(client, step.kind, step.key) for name, client in clients.items()}
    search = AutoEvol(
        journaled[job.model], journaled[job.optimization.optimizer], job, step.key, on_progress, step.catalog
    )
    with journaling(store, step.kind, step.key):
        rows, rejected = run_coroutine(search.run(seeds))
    extra = {"requests": dict(search.calls.request_counts), "published_calls": search.calls.published_count()}
    return commit_rows(
        store, step, [*rows], rejected, len(rows) + len(rejected), time.monotonic() - started, extra=extra
    )


def models_of(step: Step) -> tuple[str, ...]:
    """Return the names of the models that an optimization uses."""
    job = _params(step)
    return tuple(dict.fromkeys((job.model, job.optimization.optimizer)))


def _params(step: Step) -> OptimizeParams:
    assert isinstance(step.params, OptimizeParams)
    return step.params


def _display(progress: ProgressDisplay, step: Step) -> OnProgress:
    total = _params(step).optimization.steps
    return lambda done: progress.update(step.key, step.label, done, total)


def check_capacity(study: Study, inventory: Inventory, models: tuple[str, ...]) -> None:
    """Check that the models of one step fit into the cluster together.

    Raises:
        ClusterError: If they do not fit.
    """
    requests = [replica_requests(study)[name] for name in models]
    if not fit_together(requests, inventory):
        cpus, gpus = (
            sum(each.replicas * each.cpus for each in requests),
            sum(each.replicas * each.gpus for each in requests),
        )
        raise ClusterError(
            f"{' and '.join(models)} run in the same step and need {cpus:g} CPUs and {gpus:g} GPUs in total; the "
            f"cluster has {inventory.cpus} CPUs and {inventory.gpus} GPUs, and each replica must fit on one of its "
            f"{len(inventory.nodes)} nodes. "
            "Reduce their resources, or use one model for both roles."
        )
