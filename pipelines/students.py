"""The training phase: students are fine-tuned side by side, and each is evaluated as soon as it is trained."""

from __future__ import annotations

import time
from collections.abc import Generator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from threading import Lock

import ray

from actors.berth import Share
from actors.pool import Pool
from actors.seat import Terms
from actors.train_spec import TrainError, TrainOutcome, TrainPlacement, TrainSpec
from actors.trainer import train
from pipelines.cast import IN_FLIGHT
from pipelines.commit import commit, commit_rows
from pipelines.context import READY_SECONDS, Context
from pipelines.evaluate.steps import evaluate
from pipelines.respond import user_turn
from pipelines.rows import PairRow, from_table
from pipelines.store.manifest import Account
from pipelines.study.models import engine_spec
from pipelines.study.steps import EvaluateJob, Step, TrainJob

CHECKPOINT = "model"


def run_students(context: Context) -> list[str]:
    """Run all unfinished train and evaluate steps of the plan, and commit them.

    A student that can not be trained does not hold back the others: returns one message for each.
    """
    trains = context.plan.pending_of("train")
    evaluations = context.plan.pending_of("evaluate")
    if not trains and not evaluations:
        return []
    after = {step.key: [e for e in evaluations if step in e.inputs] for step in trains}
    at_once = [e for e in evaluations if not any(needed.key in after for needed in e.inputs)]
    with Examiner(context) as examiner, _workers(_side_by_side(context, trains, examiner)) as workers:
        futures: list[Future[str | None]] = [workers.submit(examiner.examine, step) for step in at_once]
        futures += [workers.submit(_train_and_examine, context, step, after[step.key], examiner) for step in trains]
        finished = wait(futures, return_when=FIRST_EXCEPTION).done
        return [message for future in finished if (message := future.result())]


@contextmanager
def _workers(count: int) -> Generator[ThreadPoolExecutor]:
    """Threads that are not waited for if the run is interrupted: shutting Ray down ends what they wait on."""
    workers = ThreadPoolExecutor(count)
    try:
        yield workers
    finally:
        workers.shutdown(wait=False, cancel_futures=True)


def _side_by_side(context: Context, trains: tuple[Step, ...], examiner: Examiner) -> int:
    """How many trainings the cluster's CPUs and GPUs hold, beside the examiner."""
    total = ray.cluster_resources()
    models = [context.study.models[step.job.model] for step in trains if isinstance(step.job, TrainJob)]
    cpus = max((model.cpus for model in models), default=1.0)
    gpus = max((model.gpus for model in models), default=0.0)
    fits = [(total.get("CPU", 0) - examiner.cpus) / cpus] if cpus else []
    fits += [(total.get("GPU", 0) - examiner.gpus) / gpus] if gpus else []
    return max(1, int(min(fits, default=1)))


def _train_and_examine(context: Context, step: Step, evaluations: list[Step], examiner: Examiner) -> str | None:
    try:
        _train(context, step)
    except TrainError as error:
        context.board.finish(step.key, f"[red]failed[/red] {step.label}: {error}")
        return f"{step.label}: {error}"
    for evaluation in evaluations:
        examiner.examine(evaluation)
    return None


def _train(context: Context, step: Step) -> None:
    job = step.job
    assert isinstance(job, TrainJob)
    source = step.inputs[0]
    pairs = from_table(PairRow, context.store.rows(source.kind, source.key))
    texts = [(user_turn(pair.instruction, pair.input), pair.response) for pair in pairs]
    model = context.study.models[job.model]
    started = time.monotonic()
    outcome = train(
        train_spec(context, job),
        texts,
        context.store.place(step.kind, step.key, CHECKPOINT),
        TrainPlacement(cpus=model.cpus, gpus=model.gpus),
        lambda done, total, loss: context.board.update(step.key, step.label, done, total),
    )
    shards = context.store.files(step.kind, step.key, CHECKPOINT)
    manifest = commit(context.store, step, _account(outcome), shards, time.monotonic() - started, _extra(outcome))
    context.board.finish(step.key, context.told(manifest))


def train_spec(context: Context, job: TrainJob) -> TrainSpec:
    """The trainer's words for a recipe."""
    model = context.study.models[job.model]
    base = engine_spec(model, context.folder)
    return TrainSpec(
        base=base.model, revision=base.revision, dtype=model.dtype, seed=job.seed, **job.recipe.model_dump()
    )


def _account(outcome: TrainOutcome) -> Account:
    reasons = {"no_target": outcome.dropped} if outcome.dropped else {}
    total = outcome.rows + outcome.dropped
    return Account(rows_in=total, rows_out=outcome.rows, rejected=outcome.dropped, reasons=reasons)


def _extra(outcome: TrainOutcome) -> dict[str, object]:
    return {"losses": outcome.losses, "tokens": outcome.tokens, "train_seconds": outcome.seconds}


class Examiner:
    """One warm replica that takes student after student: a checkpoint is loaded in a fraction of a process start."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.lock = Lock()
        self.pool: Pool | None = None
        names = {step.job.model for step in context.plan.pending_of("evaluate") if isinstance(step.job, EvaluateJob)}
        models = [context.study.models[name] for name in names]
        self.cpus = max((model.cpus for model in models), default=0.0)
        self.gpus = max((model.gpus for model in models), default=0.0)

    def __enter__(self) -> Examiner:
        return self

    def __exit__(self, *error: object) -> None:
        if self.pool is not None:
            self.pool.close()

    def examine(self, step: Step) -> None:
        """Run and commit one evaluate step."""
        job = step.job
        assert isinstance(job, EvaluateJob)
        with self.lock:
            started = time.monotonic()
            pool = self.host(job.model, step)
            rows, failed = evaluate(self.context, step, pool.client())
        seconds = time.monotonic() - started
        manifest = commit_rows(self.context.store, step, [*rows], failed, len(rows) + len(failed), seconds)
        self.context.board.finish(step.key, self.context.told(manifest))

    def host(self, name: str, step: Step) -> Pool:
        """The replica with the weights that the step examines."""
        context = self.context
        trained = [str(context.store.checkout(needed.kind, needed.key, CHECKPOINT)) for needed in step.inputs]
        spec = engine_spec(context.study.models[name], context.folder, *trained)
        if self.pool is None:
            share, in_flight = Share(self.cpus, self.gpus), IN_FLIGHT[spec.engine]
            self.pool = Pool(Terms(spec, f"{context.run}/examiner", share, in_flight=in_flight))
            self.pool.ready(READY_SECONDS)
        else:
            self.pool.reload(spec)
        return self.pool
