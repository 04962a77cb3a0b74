"""Optimizations of methods, each committed as a step: what the optimizer said, and every candidate with its figures."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from actors.engine import Client
from cluster.errors import ClusterError
from pipelines.commit import commit_rows
from pipelines.context import READY_SECONDS, Context
from pipelines.evolve.auto_evol import AutoEvol
from pipelines.phases import capacity, sizes
from pipelines.rows import InstructionRow, MethodRow, Rejection, from_table
from pipelines.store.manifest import Manifest
from pipelines.store.parts import Finished, find_parts, read_parts, write_part
from pipelines.store.store import Store
from pipelines.study.steps import OptimizeJob, Step

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
            pools = stage.enter(casts[number], casts[number + 1 :], READY_SECONDS)
            clients = {name: pool.client() for name, pool in pools.items()}
            manifest = optimize(context.store, step, clients, _shown(context, step))
            context.board.finish(step.key, context.told(manifest))


def optimize(
    store: Store, step: Step, clients: Mapping[str, Client], progress: Progress = lambda done: None
) -> Manifest:
    """Run and commit one optimization whose seeds are finished, from where an earlier run stopped.

    `clients` are by the models' names. The manifest's `extra` counts the requests of this run.
    """
    job, source = _job(step), step.inputs[0]
    started = time.monotonic()
    seeds = from_table(InstructionRow, store.rows(source.kind, source.key))

    def finished(number: int, rows: Sequence[MethodRow], lost: Sequence[Rejection]) -> None:
        write_part(store, step.kind, step.key, 0, Finished([*rows], [*lost]))
        progress(number)

    done, lost = _durable(store, step)
    search = AutoEvol(clients[job.model], clients[job.optimization.optimizer], job, step.key, finished, done, lost)
    rows, rejected = asyncio.run(search.run(seeds))
    told = {"requests": dict(search.calls.counted), "published_calls": search.calls.published()}
    return commit_rows(
        store, step, [*rows], rejected, len(rows) + len(rejected), time.monotonic() - started, extra=told
    )


def _durable(store: Store, step: Step) -> tuple[list[MethodRow], list[Rejection]]:
    """What earlier runs left of an optimization: whole steps only."""
    parts = read_parts(store, step.kind, find_parts(store, step.kind, step.key).get(0, []))
    size = _job(step).optimization.candidates + 1
    count = Counter(row.index // size for row in (*parts.rows, *parts.rejections))
    whole = {number for number in count if count[number] == size}
    rows = [row for row in parts.rows if isinstance(row, MethodRow) and row.index // size in whole]
    return rows, [row for row in parts.rejections if row.index // size in whole]


def best_methods(store: Store, steps: Iterable[Step]) -> dict[str, str]:
    """The methods that finished optimizations found, by the keys of the steps that evolve with them."""
    found: dict[str, str] = {}
    for step in steps:
        for source in step.inputs:
            if isinstance(source.job, OptimizeJob):
                rows = from_table(MethodRow, store.rows(source.kind, source.key))
                (found[step.key],) = (row.method for row in rows if row.best)
    return found


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
    room, asked = capacity(context.cluster), [sizes(context.study)[name] for name in models]
    cpus, gpus = sum(size.cpus for size in asked), sum(size.gpus for size in asked)
    if cpus > room.cpus or gpus > room.gpus:
        raise ClusterError(
            f"{' and '.join(models)} work together in one step and ask for {cpus:g} CPUs and {gpus:g} GPUs; "
            f"the cluster has {room.cpus:g} and {room.gpus:g}. Give them less, or the same model both roles."
        )
