"""The training phase: students are fine-tuned side by side, and each is evaluated as soon as it is trained."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from ray.exceptions import RayError

from actors.berth import Share
from actors.engine import EngineLost, LoadError
from actors.pool import Pool
from actors.sandbox.job import SandboxError
from actors.seat import Terms
from pipelines.again import tried_again
from pipelines.cast import IN_FLIGHT
from pipelines.commit import commit_rows
from pipelines.context import READY_SECONDS, Context
from pipelines.evaluate.steps import Answers, evaluate
from pipelines.gangs import run_gangs
from pipelines.study.models import engine_spec
from pipelines.study.steps import EvaluateJob, Step
from pipelines.trainings import CHECKPOINT, Trainer

STATS_SECONDS = 5.0


def run_students(context: Context) -> list[str]:
    """Run all unfinished train and evaluate steps of the plan, and commit them.

    A student that can not be trained or examined does not hold back the others: returns one message for each.
    """
    trains = context.plan.pending_of("train")
    evaluations = context.plan.pending_of("evaluate")
    if not trains and not evaluations:
        return []
    failures: list[str] = []

    def failed(step: Step, why: str) -> None:
        failures.append(f"{step.label}: {why}")
        context.board.finish(step.key, f"[red]failed[/red] {step.label}: {why}")

    with Examiner(context, failed) as examiner:
        for step in evaluations:
            if not {needed.key for needed in step.inputs} & {train.key for train in trains}:
                examiner.submit(step)
        after = {train.key: [step for step in evaluations if train in step.inputs] for train in trains}

        def trained(step: Step) -> None:
            for evaluation in after[step.key]:
                examiner.submit(evaluation)

        room = Share(context.cluster.cpus - examiner.cpus, context.cluster.gpus - examiner.gpus)
        gangs = Trainer(context, trained, failed).gangs(trains, room)
        run_gangs(gangs, room, lambda shares: context.ask([*shares, Share(examiner.cpus, examiner.gpus)]))
        context.ask([])
        examiner.finish()
    return failures


class Examiner:
    """One warm replica that takes student after student: a checkpoint is loaded in a fraction of a process start."""

    def __init__(self, context: Context, failed: Callable[[Step, str], None]) -> None:
        self.context, self.failed = context, failed
        self.thread = ThreadPoolExecutor(1)
        self.open: list[Future[None]] = []
        self.pool: Pool | None = None
        names = {step.job.model for step in context.plan.pending_of("evaluate") if isinstance(step.job, EvaluateJob)}
        models = [context.study.models[name] for name in names]
        self.cpus = max((model.cpus for model in models), default=0.0)
        self.gpus = max((model.gpus for model in models), default=0.0)

    def __enter__(self) -> Examiner:
        return self

    def __exit__(self, *error: object) -> None:
        self.thread.shutdown(wait=False, cancel_futures=True)
        self.end()

    def submit(self, step: Step) -> None:
        """Examine as soon as those before are examined."""
        self.open.append(self.thread.submit(self.attempt, step))

    def finish(self) -> None:
        """Wait for all that was submitted. Raises what one of them has raised."""
        for future in self.open:
            future.result()

    def attempt(self, step: Step) -> None:
        """Examine; a student that can not be examined is a failure of its own."""
        try:
            self.examine(step)
        except (LoadError, EngineLost, SandboxError) as error:
            self.failed(step, str(error))
            self.end()

    def end(self) -> None:
        """End the replica."""
        if self.pool is not None:
            with suppress(RayError):
                self.context.retries.of_pool("students", self.pool.stats(STATS_SECONDS))
            self.pool.close()
            self.pool = None

    def examine(self, step: Step) -> None:
        """Run and commit one evaluate step."""
        job = step.job
        assert isinstance(job, EvaluateJob)
        model = job.model

        def attempt() -> Answers:
            return evaluate(self.context, step, self.host(model, step).client())

        started = time.monotonic()
        rows, failed = tried_again(self.context.retries, step.label, attempt, self.context.board.say, self.end)
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
