"""Optimizations of methods, each committed as a step: what the optimizer said, and every candidate with its figures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from actors.engine import Client
from cluster.errors import ClusterError
from cluster.resources.placement import fit_together
from pipelines.execution.runtime.commit import commit_rows
from pipelines.execution.runtime.context import Context
from pipelines.operators.evolve.method_optimizer import AutoEvol
from pipelines.planning.requests import sizes
from pipelines.rows.arrow import from_table
from pipelines.rows.types import InstructionRow
from pipelines.store.journaled_client import Remembering, remembered
from pipelines.store.manifest import Manifest
from pipelines.store.store import Store
from pipelines.study.graph.params import OptimizeJob
from pipelines.study.graph.step import Step

Progress = Callable[[int], None]


def run_optimizations(context: Context) -> None:
    """Run and commit all unfinished optimize steps of the plan, one after another.

    Evolver and optimizer take turns within a step: ClusterError if the cluster can not hold both at once.
    """
    steps = context.plan.pending_of("optimize")
    if not steps:
        return
    casts = [models_of(step) for step in steps]
    for models in casts:
        check_room(context, models)
    with context.stage() as stage:
        for number, step in enumerate(steps):
            pools = stage.enter(casts[number], casts[number + 1 :], context.ready_seconds)
            clients = {name: pool.client() for name, pool in pools.items()}
            manifest = optimize(context.store, step, clients, _shown(context, step))
            context.board.finish(step.key, context.told(manifest))


def optimize(
    store: Store, step: Step, clients: Mapping[str, Client], progress: Progress = lambda done: None
) -> Manifest:
    """Run and commit one optimization whose seeds are finished. What an earlier run was answered is not asked again.

    `clients` are by the models' names. The manifest's `extra` counts all requests.
    """
    job, source = _job(step), step.inputs[0]
    started = time.monotonic()
    seeds = from_table(InstructionRow, store.rows(source.kind, source.key))

    kept = {name: Remembering(client, step.kind, step.key) for name, client in clients.items()}
    search = AutoEvol(kept[job.model], kept[job.optimization.optimizer], job, step.key, progress)
    with remembered(store, step.kind, step.key):
        rows, rejected = asyncio.run(search.run(seeds))
    told = {"requests": dict(search.calls.counted), "published_calls": search.calls.published()}
    return commit_rows(
        store, step, [*rows], rejected, len(rows) + len(rejected), time.monotonic() - started, extra=told
    )


def models_of(step: Step) -> tuple[str, ...]:
    """The models that an optimization asks."""
    job = _job(step)
    return tuple(dict.fromkeys((job.model, job.optimization.optimizer)))


def _job(step: Step) -> OptimizeJob:
    assert isinstance(step.job, OptimizeJob)
    return step.job


def _shown(context: Context, step: Step) -> Progress:
    total = _job(step).optimization.steps
    return lambda done: context.board.update(step.key, step.label, done, total)


def check_room(context: Context, models: tuple[str, ...]) -> None:
    """Raise ClusterError if the cluster can not hold these models of one step at once."""
    here, asked = context.cluster, [sizes(context.study)[name] for name in models]
    if not fit_together(asked, here):
        cpus, gpus = sum(each.replicas * each.cpus for each in asked), sum(each.replicas * each.gpus for each in asked)
        raise ClusterError(
            f"{' and '.join(models)} work together in one step and ask for {cpus:g} CPUs and {gpus:g} GPUs; the "
            f"cluster has {here.cpus} and {here.gpus}, and a replica lies on one of its {len(here.nodes)} nodes. "
            "Give them less, or the same model both roles."
        )
