"""The streaming phase: all unfinished row-wise steps at once, on Ray Data, over the engine pools that they share."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import ray
import ray.data
from ray.data import ActorPoolStrategy, DataContext

from actors.engine import EngineLost, LoadError, Sampling
from actors.pool import Pool
from pipelines.attribution import model_of, step_seconds
from pipelines.commit import commit
from pipelines.context import Context
from pipelines.evolve.evol_instruct import Evolve
from pipelines.operators import Operator
from pipelines.respond import Respond
from pipelines.score.perplexity import Score
from pipelines.store.parts import units_of, write_shards
from pipelines.stream import Branch, Root, Walker
from pipelines.study.spec import SamplingSpec
from pipelines.study.steps import EvolveJob, RespondJob, ScoreJob, Step
from pipelines.tally import RemoteTally, TallyActor, Total

WALKERS = 1
WALKER_CPUS = 0.1
POLL_SECONDS = 0.5


def run_stream(context: Context) -> None:
    """Run all unfinished row-wise steps of the plan, and commit them."""
    steps = context.plan.pending_of("evolve", "respond", "score")
    if not steps:
        return
    started = time.monotonic()
    with context.pools({model_of(step) for step in steps}) as pools:
        tally: Any = TallyActor.remote()
        _stream(context, roots(context, steps, pools), RemoteTally(tally), tally)
        totals: dict[str, Total] = ray.get(tally.totals.remote())
        busy = {name: sum(replica.busy_seconds for replica in pool.stats()) for name, pool in pools.items()}
    _commit_all(context, steps, step_seconds(steps, totals, busy, time.monotonic() - started))


def roots(context: Context, steps: tuple[Step, ...], pools: Mapping[str, Pool]) -> list[Root]:
    """The trees of unfinished steps, by the finished steps that they start from."""
    clients = {name: pool.client() for name, pool in pools.items()}
    children: dict[str, list[Step]] = defaultdict(list)
    for step in steps:
        children[step.inputs[0].key].append(step)

    def branch(step: Step) -> Branch:
        below = tuple(branch(child) for child in children[step.key])
        return Branch(step.kind, step.key, operator(step, clients, context.study.seed), below)

    pending = {step.key for step in steps}
    starts = {step.inputs[0].key: step.inputs[0] for step in steps if step.inputs[0].key not in pending}
    return [Root(start.kind, key, tuple(branch(step) for step in children[key])) for key, start in starts.items()]


def operator(step: Step, clients: Mapping[str, Any], seed: int) -> Operator:
    """What a row-wise step does with a row."""
    job = step.job
    if isinstance(job, EvolveJob):
        return Evolve(clients[job.model], job.round, job.methods, sampling(job.sampling), seed)
    if isinstance(job, RespondJob):
        return Respond(clients[job.model], sampling(job.sampling), seed)
    if isinstance(job, ScoreJob):
        return Score(clients[job.model])
    raise TypeError(f"{step.kind} is not a row-wise step")


def sampling(spec: SamplingSpec) -> Sampling:
    """The engine's words for a study's sampling."""
    return Sampling(spec.temperature, spec.top_p, spec.max_tokens)


def _stream(context: Context, trees: list[Root], tally: RemoteTally, actor: Any) -> None:
    _quiet_ray_data()
    units = sorted({unit for root in trees for unit in units_of(context.store, root.kind, root.key)})
    # one block for each walker: within a block Ray Data keeps several units in flight, and a slow one holds none back
    dataset = ray.data.from_items([{"unit": unit} for unit in units], override_num_blocks=max(1, WALKERS))
    walked = dataset.map_batches(
        Walker,  # pyright: ignore[reportArgumentType]
        fn_constructor_args=(context.store, trees, tally),
        batch_size=1,
        num_cpus=WALKER_CPUS,
        compute=ActorPoolStrategy(size=WALKERS),
    )
    with _shown(context, actor):
        try:
            for _ in walked.iter_batches(batch_size=None):
                pass
        except Exception as error:
            raise _plain(error) from None


def _quiet_ray_data() -> None:
    """The board shows progress; Ray Data's own lines would break it."""
    data = DataContext.get_current()
    data.enable_progress_bars = False
    data.print_on_execution_start = False
    for name in ("ray.data", "ray.data._internal.execution.streaming_executor"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _plain(error: BaseException) -> BaseException:
    """What went wrong in a worker, without the layers that carried it here."""
    while not isinstance(error, EngineLost | LoadError):
        inner = getattr(error, "cause", None) or error.__cause__
        if isinstance(error, BaseExceptionGroup):
            inner = error.exceptions[0]
        if not isinstance(inner, BaseException):
            return error
        error = inner
    return error


@contextmanager
def _shown(context: Context, actor: Any) -> Generator[None]:
    """Show progress on the board while the block runs."""
    ended = Event()
    thread = Thread(target=_watch, args=(context, actor, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _watch(context: Context, actor: Any, ended: Event) -> None:
    while not ended.wait(POLL_SECONDS):
        totals: dict[str, Total] = ray.get(actor.totals.remote())
        for key, total in totals.items():
            step = context.plan.grid.steps[key]
            context.board.update(key, step.label, total.done, context.expected_rows(step))


def _commit_all(context: Context, steps: tuple[Step, ...], seconds: Mapping[str, float]) -> None:
    for step in steps:
        source = step.inputs[0]
        rows_in = context.store.manifest(source.kind, source.key).account.rows_out
        shards, account = write_shards(context.store, step.kind, step.key, rows_in)
        manifest = commit(context.store, step, account, shards, seconds[step.key])
        context.board.finish(step.key, context.told(manifest))
