"""Evaluations of students, each as soon as its student is there and an examiner has room for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Condition
from types import TracebackType
from typing import Self

from ray.exceptions import RayError

from actors.engine import EngineLost, LoadError
from actors.sandbox.protocol.job import SandboxError
from actors.serving.pool import Pool
from actors.serving.spec import Share, Terms
from cluster.resources.placement import Request
from pipelines.evaluate.suite import Answers
from pipelines.execution.runtime.commit import commit_rows
from pipelines.execution.runtime.context import Context
from pipelines.execution.runtime.model_pools import IN_FLIGHT
from pipelines.execution.runtime.retry import tried_again
from pipelines.execution.training.evaluation import evaluate
from pipelines.execution.training.gang_scheduler import Gang
from pipelines.planning.requests import START_SECONDS, examiner_request
from pipelines.store.store import CHECKPOINT
from pipelines.study.graph.params import EvaluateJob
from pipelines.study.graph.step import Step
from pipelines.study.inputs.models import engine_spec
from pipelines.study.spec.benchmarks import CODE

STATS_SECONDS = 5.0
ROOM_SECONDS = 3600.0  # as long as trainings, which may lie in its way, wait for their workers


class Examiners:
    """Evaluations that wait, and the replicas that take them.

    A `kept` examiner stays warm to the end: a checkpoint is loaded in a fraction of a process start. Others come as
    gangs where there is room and enough waits, and go when nothing waits any more.
    """

    def __init__(self, context: Context, kept: bool, failed: Callable[[Step, str], None]) -> None:
        self.context, self.kept, self.failed = context, kept, failed
        self.request: Request = examiner_request(context.study, context.plan.pending_of("evaluate"))
        self.waiting: list[Step] = []
        self.coding = self.idle = self.closed = False
        self.broken: list[Exception] = []
        self.made: list[Examiner] = []
        self.changed = Condition()
        self.thread = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        self.keeper = self.thread.submit(self.examine, True) if self.kept else None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error:  # nobody asks for what still waits
            self.waiting.clear()
        self.close()
        self.thread.shutdown(wait=False, cancel_futures=True)
        for examiner in self.made:
            examiner.stop()

    def submit(self, step: Step) -> list[Gang]:
        """Have a step examined; returns work that helps with it if it finds room in time."""
        with self.changed:
            self.waiting.append(step)
            self.changed.notify_all()
        return [Gang(self.request, self.context.plan.seconds[step.key], self.help)]

    def finish(self) -> None:
        """Wait for all that was submitted. Raises what one of them has raised."""
        self.close()
        if self.keeper:
            self.keeper.result()
        if self.broken:
            raise self.broken[0]

    def close(self) -> None:
        """Say that nothing more will be submitted."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def help(self) -> Sequence[Gang]:
        """Examine what waits now, if the kept examiner would take longer for it than another one to start."""
        with self.changed:
            left = self.waiting[1 if self.idle else 0 :]
        seconds = sum(self.context.plan.seconds[step.key] for step in left)
        if left and (seconds >= START_SECONDS or not self.kept):
            self.examine(False)
        return []

    def examine(self, stay: bool) -> None:
        """Take step after step; a student that can not be examined is a failure of its own."""
        examiner = Examiner(self.context, f"{self.context.run}/examiner-{len(self.made)}", self.request)
        self.made.append(examiner)
        while step := self.take(examiner, stay):
            try:
                examiner.examine(step)
            except (LoadError, EngineLost, SandboxError) as error:
                examiner.end()
                self.failed(step, str(error))
            except Exception as error:  # raised by `finish`, when trainings and other students are done
                examiner.end()
                self.broken.append(error)
            with self.changed:
                self.coding = self.coding and not _code(step)
                self.changed.notify_all()
        examiner.end()

    def take(self, examiner: Examiner, stay: bool) -> Step | None:
        """The next step: of the student that is loaded, else of one that no other examiner has.

        Code is run for one step at a time: its sandboxes take all CPUs, and programs have only so many seconds.
        """
        with self.changed:
            while not (free := [step for step in self.waiting if not (self.coding and _code(step))]):
                if self.closed or not stay:
                    return None
                self.idle = True
                self.changed.wait()
                self.idle = False
            others = {each.student for each in self.made if each is not examiner}
            step = min(free, key=lambda step: (_student(step) != examiner.student, _student(step) in others))
            self.waiting.remove(step)
            self.coding = self.coding or _code(step)
            examiner.student = _student(step)
            return step


class Examiner:
    """A replica that takes student after student, and the benchmarks of one without loading it again."""

    def __init__(self, context: Context, name: str, request: Request) -> None:
        self.context, self.name, self.request = context, name, request
        self.student = ""
        self.pool: Pool | None = None
        self.start = 0.0  # seconds that the replica was waited for, in the present step
        self.over = False

    def stop(self) -> None:
        """End the replica for good: what it was asked fails."""
        self.over = True
        self.end()

    def end(self) -> None:
        """End the replica."""
        pool, self.pool, self.student = self.pool, None, ""
        if pool is not None:
            with suppress(RayError):
                self.context.retries.of_pool("students", pool.stats(STATS_SECONDS))
            pool.close()

    def examine(self, step: Step) -> None:
        """Run and commit one evaluate step."""

        def attempt() -> Answers:
            return evaluate(self.context, step, self.host(step).client())

        self.start, started = 0.0, time.monotonic()
        rows, failed = tried_again(self.context.retries, step.label, attempt, self.context.board.say, self.end)
        seconds = time.monotonic() - started
        extra = {"start_seconds": self.start}
        manifest = commit_rows(self.context.store, step, [*rows], failed, len(rows) + len(failed), seconds, extra)
        self.context.board.finish(step.key, self.context.told(manifest))

    def host(self, step: Step) -> Pool:
        """The replica with the weights that the step examines."""
        if self.over:
            raise RuntimeError("the run is over")
        context = self.context
        trained = [context.store.address(needed.kind, needed.key, CHECKPOINT) for needed in step.inputs]
        spec = engine_spec(context.study.models[_job(step).model], context.folder, *trained)
        if self.pool is None:
            share, in_flight = Share(self.request.cpus, self.request.gpus, self.request.kind), IN_FLIGHT[spec.engine]
            asked = time.monotonic()
            self.pool = Pool(Terms(spec, self.name, share, in_flight=in_flight))
            self.pool.ready(ROOM_SECONDS)
            self.start += time.monotonic() - asked
        elif self.pool.terms.spec != spec:
            self.pool.reload(spec)
        return self.pool


def _job(step: Step) -> EvaluateJob:
    assert isinstance(step.job, EvaluateJob)
    return step.job


def _student(step: Step) -> str:
    return "/".join((_job(step).model, *(needed.key for needed in step.inputs)))


def _code(step: Step) -> bool:
    return _job(step).benchmark.kind in CODE
