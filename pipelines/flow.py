"""The streaming phase: all unfinished row-wise steps at once, on Ray Data, over the engine pools that they share."""

from __future__ import annotations

import logging
import math
import time
from collections import defaultdict
from collections.abc import Mapping

import ray
import ray.data
from ray.data import ActorPoolStrategy, DataContext

from actors.engine import Client
from actors.pool import Pool
from actors.sandbox.job import Level
from pipelines.attribution import model_of, step_seconds
from pipelines.boxes import sandboxes
from pipelines.candidates import Choose, Draw
from pipelines.checking import checker
from pipelines.commit import commit
from pipelines.context import Context
from pipelines.evaluate.judged import verdict
from pipelines.evolve.autoif.verdicts import Runner
from pipelines.evolve.elimination import Eliminate
from pipelines.evolve.evol_instruct import Evolve
from pipelines.failures import Reporting, innermost, raise_failure
from pipelines.operators import Operator
from pipelines.optimize import best_methods
from pipelines.phases import Phase, loads, sizes
from pipelines.remembering import FLUSH_SECONDS, Remembering
from pipelines.respond import Respond
from pipelines.score.instruction_reward import InstructionReward
from pipelines.score.judge import Judge
from pipelines.score.perplexity import Score
from pipelines.score.reward import Reward
from pipelines.store.parts import UNIT_ROWS, units_of, write_shards
from pipelines.stream import Branch, Root
from pipelines.stream_stats import measured, save_stream
from pipelines.study.steps import (
    ROW_WISE,
    CheckJob,
    ChooseJob,
    DrawJob,
    EliminateJob,
    EvolveJob,
    JudgeJob,
    RespondJob,
    RewardJob,
    ScoreJob,
    Step,
    VerdictJob,
    rows_of_one,
)
from pipelines.tally import RemoteTally, tallied
from pipelines.totals import Total
from pipelines.watch import shown

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


def roots(
    context: Context, steps: tuple[Step, ...], pools: Mapping[str, Pool], boxes: Mapping[Level, Runner]
) -> list[Root]:
    """The trees of unfinished steps, by the finished steps that they start from. `boxes` are sandboxes by level."""
    clients = {name: pool.client() for name, pool in pools.items()}  # one each: a step is a lane of it
    methods = best_methods(context.store, steps)
    children: dict[str, list[Step]] = defaultdict(list)
    for step in steps:
        children[step.inputs[0].key].append(step)

    def branch(step: Step) -> Branch:
        below = tuple(branch(child) for child in children[step.key])
        lane = Remembering(clients[model_of(step)].lane(step.key), step.kind, step.key)
        if isinstance(step.job, CheckJob):
            does: Operator = checker(context.store, step, lane, boxes[step.job.level])
        elif isinstance(step.job, VerdictJob):
            does = verdict.operator(context.store, context.folder, step, lane)
        else:
            does = operator(step, lane, context.study.seed, methods.get(step.key, ""))
        return Branch(step.kind, step.key, does, below, rows_of_one(step.job))

    pending = {step.key for step in steps}
    starts = {step.inputs[0].key: step.inputs[0] for step in steps if step.inputs[0].key not in pending}
    return [Root(start.kind, key, tuple(branch(step) for step in children[key])) for key, start in starts.items()]


def operator(step: Step, client: Client, seed: int, method: str = "") -> Operator:
    """What a row-wise step does with a row; `method` is the optimized one, for a step that evolves with it."""
    job = step.job
    if isinstance(job, EvolveJob):
        if job.parser and not method:
            raise ValueError(f"{step.label} evolves with an optimized method, and was given none")
        return Evolve(client, job, job.sampling.sampling, seed, method)
    if isinstance(job, EliminateJob):
        return Eliminate(client, job.elimination)
    if isinstance(job, RespondJob):
        return Respond(client, job.sampling.sampling, seed)
    if isinstance(job, DrawJob):
        return Draw(client, job.sampling.sampling, job.candidates, seed)
    if isinstance(job, ChooseJob):
        return Choose(client, job.pick)
    if isinstance(job, RewardJob):
        return Reward(client)
    if isinstance(job, JudgeJob):
        return (
            InstructionReward(client, method) if job.metric == "reward" else Judge(client, job.metric, job.max_tokens)
        )
    if isinstance(job, ScoreJob):
        return Score(client, job.options)
    raise TypeError(f"{step.kind} is not a row-wise step")


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
