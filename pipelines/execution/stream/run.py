"""Runs the streaming phase: all unfinished row-wise steps at once, on Ray Data, with shared engine pools."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

import ray.data
from ray.data import DataContext

from actors.serving.pool import Pool
from pipelines.execution.runtime.context import RunContext
from pipelines.execution.runtime.retry import root_cause
from pipelines.execution.runtime.sandboxes import sandboxes
from pipelines.execution.stream.commits.commit import finish_steps
from pipelines.execution.stream.dataset import (
    PartitionSource,
    named_mapper,
    pool_size,
    raise_failure,
    stream_dataset,
)
from pipelines.execution.stream.monitor import monitored
from pipelines.execution.stream.operators import build_trees
from pipelines.execution.stream.progress_actor import RemoteProgress, progress_actor
from pipelines.execution.stream.stats import collect_stats
from pipelines.execution.stream.time_attribution import attribute_time
from pipelines.execution.stream.totals import StepTotal
from pipelines.execution.stream.tree import TreeRoot
from pipelines.planning.plan import Plan
from pipelines.planning.requests import replica_requests
from pipelines.planning.residency.phases import Phase, model_loads
from pipelines.store.journaled_client import FLUSH_SECONDS
from pipelines.store.studies.stream_stats import save_stream
from pipelines.study.graph.steps.step import Step
from pipelines.study.plugins.shipping import Shipped


def run_stream(context: RunContext, plan: Plan) -> Plan:
    """Run and commit all pending row-wise steps that come before training; return the plan with them finished.

    Steps of which the context's probe leaves out rows stay pending.
    """
    run_steps(context, tuple(step for step in plan.pending_row_wise if step.kind != "verdict"))
    return plan.with_finished(context.store.finished_keys())


def run_verdicts(context: RunContext, plan: Plan) -> Plan:
    """Run and commit pending verdict steps, which judge students' answers; return the plan with them finished.

    Verdicts on failed students stay pending.
    """
    steps = tuple(step for step in plan.pending_of("verdict") if all(needed.key in plan.done for needed in step.inputs))
    run_steps(context, steps)
    return plan.with_finished(step.key for step in steps)


def run_steps(context: RunContext, steps: tuple[Step, ...]) -> None:
    """Run row-wise steps, phase by phase, and commit them or, in a probe, note how far they are complete."""
    if not steps:
        return
    phases = context.phases(steps)
    if len(phases) > 1:
        context.progress.print(f"{len(phases)} phases, because not all models fit at once: {model_loads(phases)} loads")
    with context.residency() as residency:
        for number, phase in enumerate(phases):
            started = time.monotonic()
            context.request_resources([replica_requests(context.study)[name] for name in phase.models])
            pools = residency.activate(
                phase.models, [later.models for later in phases[number + 1 :]], context.ready_timeout
            )
            context.request_resources([])  # the replicas now hold their resources, and release them one by one
            run_phase(context, phase, pools, started)


def run_phase(context: RunContext, phase: Phase, pools: Mapping[str, Pool], started: float) -> None:
    """Run the steps of a phase as one stream over its pools, and finish them with their shares of the wall time.

    `started` is the monotonic time at which the phase began.
    """
    before = {name: pool.stats().totals.busy_seconds for name, pool in pools.items()}
    with progress_actor() as progress:
        with monitored(context, phase.steps, pools, progress), sandboxes(context.cluster, phase.steps) as runners:
            trees = build_trees(context, phase.steps, pools, runners)
            stream = _run_dataset(context, phase, trees, RemoteProgress(progress), in_flight_limit(pools))
        totals: dict[str, StepTotal] = ray.get(progress.totals.remote())
    busy = {name: pool.stats().totals.busy_seconds - before[name] for name, pool in pools.items()}
    finish_steps(context, phase.steps, attribute_time(phase.steps, totals, busy, time.monotonic() - started))
    save_stream(context.store, context.study.study, collect_stats(stream, phase.steps))


def in_flight_limit(pools: Mapping[str, Pool]) -> int:
    """Return the maximum number of open requests of a queue."""
    return max(pool.client().window for pool in pools.values())


def _run_dataset(
    context: RunContext, phase: Phase, trees: list[TreeRoot], progress: RemoteProgress, open_rows: int
) -> ray.data.Dataset:
    _quiet_ray_data()
    source = PartitionSource(context.store, trees)
    pool = pool_size(len(context.cluster.nodes), len(source.parts), open_rows, context.stream_workers)
    mapper = named_mapper([(step.kind, step.label) for step in phase.steps])
    stream = stream_dataset(source, mapper, (context.store, Shipped(trees), progress), pool)
    stream.set_name(context.study.study)
    try:
        for block in stream.iter_batches(batch_size=None, batch_format="pyarrow"):
            raise_failure(block)  # pyright: ignore[reportArgumentType]
    except KeyboardInterrupt:
        context.progress.print("interrupted: saving finished rows ...")
        time.sleep(FLUSH_SECONDS + 1)  # the workers keep running meanwhile
        raise
    except Exception as error:
        raise root_cause(error) from None
    return stream


def _quiet_ray_data() -> None:
    """Turn off Ray Data's output, which would break the progress display."""
    data = DataContext.get_current()
    data.enable_progress_bars = False
    data.print_on_execution_start = False
    for name in ("ray.data", "ray.data._internal.execution.streaming_executor"):
        logging.getLogger(name).setLevel(logging.ERROR)
