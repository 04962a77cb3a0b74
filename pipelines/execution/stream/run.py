"""The streaming phase: all unfinished row-wise steps at once, on Ray Data, over the engine pools that they share."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping

import ray.data
from ray.data import ActorPoolStrategy, DataContext

from actors.serving.pool import Pool
from pipelines.execution.runtime.commit import commit
from pipelines.execution.runtime.context import Context
from pipelines.execution.runtime.retry import innermost
from pipelines.execution.runtime.sandboxes import sandboxes
from pipelines.execution.stream.failure_transport import Reporting, raise_failure
from pipelines.execution.stream.monitor import shown
from pipelines.execution.stream.operators import roots
from pipelines.execution.stream.progress_actor import RemoteTally, tallied
from pipelines.execution.stream.stats import measured
from pipelines.execution.stream.time_attribution import step_seconds
from pipelines.execution.stream.totals import Total
from pipelines.execution.stream.tree import Root
from pipelines.planning.requests import sizes
from pipelines.planning.residency.phases import Phase, loads
from pipelines.store.journaled_client import FLUSH_SECONDS
from pipelines.store.partitions import UNIT_ROWS
from pipelines.store.shards import units_of, write_shards
from pipelines.store.studies.stream_stats import save_stream
from pipelines.study.graph.step import ROW_WISE, Step, rows_of_one

WALKERS = 1
UNITS_AHEAD = 3  # units begun beyond those that fill a lane: the last rows of a unit must leave no gap


def run_stream(context: Context) -> None:
    """Run all unfinished row-wise steps of the plan that come before training, and commit them."""
    run_steps(context, context.plan.pending_of(*sorted(ROW_WISE - {"verdict"})))


def run_verdicts(context: Context) -> None:
    """Have judges read the answers that students gave, and commit; those of a student that failed are left out."""
    done = context.store.done()
    steps = context.plan.pending_of("verdict")
    run_steps(context, tuple(step for step in steps if all(needed.key in done for needed in step.inputs)))


def run_steps(context: Context, steps: tuple[Step, ...]) -> None:
    """Run row-wise steps, phase by phase, and commit them."""
    if not steps:
        return
    phases = context.phases(steps)
    if len(phases) > 1:
        context.board.say(f"{len(phases)} phases, because not all models fit at once: {loads(phases)} loads")
    with context.stage() as stage:
        for number, phase in enumerate(phases):
            started = time.monotonic()
            context.ask([sizes(context.study)[name] for name in phase.models])
            pools = stage.enter(phase.models, [later.models for later in phases[number + 1 :]], context.ready_seconds)
            context.ask([])  # now the replicas hold what they need, and give it back one by one
            run_phase(context, phase, pools, started)


def run_phase(context: Context, phase: Phase, pools: Mapping[str, Pool], started: float) -> None:
    """Run the steps of a phase as one stream over its pools, and commit them with their parts of the wall time."""
    before = {name: pool.stats().work.busy_seconds for name, pool in pools.items()}
    with tallied() as tally:
        with shown(context, phase.steps, pools, tally), sandboxes(context, phase.steps) as boxes:
            trees = roots(context, phase.steps, pools, boxes)
            stream = _stream(context, trees, RemoteTally(tally), window(pools))
        totals: dict[str, Total] = ray.get(tally.totals.remote())
    busy = {name: pool.stats().work.busy_seconds - before[name] for name, pool in pools.items()}
    _commit_all(context, phase.steps, step_seconds(phase.steps, totals, busy, time.monotonic() - started))
    save_stream(context.store, context.study.study, measured(stream, phase.steps))


def window(pools: Mapping[str, Pool]) -> int:
    """The requests that a lane may have open, at most."""
    return max(pool.client().window for pool in pools.values())


def _stream(context: Context, trees: list[Root], tally: RemoteTally, open_rows: int) -> ray.data.Dataset:
    _quiet_ray_data()
    units = sorted({unit for root in trees for unit in units_of(context.store, root.kind, root.key)})
    # one block for each walker, which keeps enough units at once for every lane to be full
    dataset = ray.data.from_items([{"unit": unit} for unit in units], override_num_blocks=max(1, WALKERS))
    walked = dataset.map_batches(
        Reporting,  # pyright: ignore[reportArgumentType]
        fn_constructor_args=(context.store, trees, tally, UNITS_AHEAD + math.ceil(open_rows / UNIT_ROWS)),
        batch_size=None,
        num_cpus=0,  # it waits for engines, which may hold all that there is
        compute=ActorPoolStrategy(size=WALKERS),
    )
    try:
        for block in walked.iter_batches(batch_size=None):
            raise_failure(block)  # pyright: ignore[reportArgumentType]
    except KeyboardInterrupt:
        context.board.say("interrupted: waiting a moment for what is finished to be saved")
        time.sleep(FLUSH_SECONDS + 1)  # the walkers go on meanwhile
        raise
    except Exception as error:
        raise innermost(error) from None
    return walked


def _quiet_ray_data() -> None:
    """The board shows progress; Ray Data's own lines would break it."""
    data = DataContext.get_current()
    data.enable_progress_bars = False
    data.print_on_execution_start = False
    for name in ("ray.data", "ray.data._internal.execution.streaming_executor"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _commit_all(context: Context, steps: tuple[Step, ...], seconds: Mapping[str, float]) -> None:
    for step in steps:
        source = step.inputs[0]
        rows_in = context.rows_of(source)
        shards, account = write_shards(context.store, step.kind, step.key, rows_in * rows_of_one(step.job))
        manifest = commit(context.store, step, account, shards, seconds[step.key])
        context.board.finish(step.key, context.told(manifest))
