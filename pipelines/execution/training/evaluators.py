"""Schedules evaluations: each starts as soon as its student is trained and an evaluator is free."""

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
from actors.engines.registry import ENGINES
from actors.sandbox.protocol.job import SandboxError
from actors.serving.pool import Pool
from actors.serving.spec import PoolSpec, ReplicaResources
from cluster.resources.placement import ResourceRequest
from pipelines.errors import with_details
from pipelines.evaluate.suite import Answers
from pipelines.execution.runtime.commit import commit_rows
from pipelines.execution.runtime.context import RunContext
from pipelines.execution.runtime.model_pools import model_load_timeout
from pipelines.execution.runtime.retry import with_retries
from pipelines.execution.training.evaluation import evaluate
from pipelines.execution.training.gang_scheduler import Gang
from pipelines.planning.plan import Plan
from pipelines.planning.requests import EVALUATOR_START_SECONDS, evaluator_request
from pipelines.store.store import CHECKPOINT_FOLDER
from pipelines.study.graph.steps.params.students import EvaluateParams
from pipelines.study.graph.steps.step import Step
from pipelines.study.inputs.models import evaluated_spec

STATS_TIMEOUT = 5.0
PLACEMENT_TIMEOUT = 3600.0  # seconds; trainings, which may occupy the GPUs, wait equally long for their workers


class EvaluatorPool:
    """A queue of evaluations, and the evaluators that process it.

    A `persistent` evaluator runs to the end: loading a checkpoint takes a fraction of a process start. Others start as
    gangs when resources are free and enough evaluations are queued, and stop when the queue is empty.
    """

    def __init__(
        self, context: RunContext, plan: Plan, persistent: bool, on_failure: Callable[[Step, str], None]
    ) -> None:
        self.context, self.persistent, self.on_failure = context, persistent, on_failure
        self.planned_seconds = plan.seconds  # by the keys of steps
        self.request: ResourceRequest = evaluator_request(context.study, plan.pending_of("evaluate"))
        self.waiting: list[Step] = []
        self.running_code = self.idle = self.closed = False
        self.errors: list[Exception] = []
        self.evaluators: list[Evaluator] = []
        self.changed = Condition()
        self.executor = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        self.persistent_evaluator = self.executor.submit(self.run_evaluator, True) if self.persistent else None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error:  # queued evaluations are no longer needed
            self.waiting.clear()
        self.close()
        self.executor.shutdown(wait=False, cancel_futures=True)
        for evaluator in self.evaluators:
            evaluator.stop()

    def submit(self, step: Step) -> list[Gang]:
        """Queue an evaluate step; return a gang that starts an extra evaluator when resources are free."""
        with self.changed:
            self.waiting.append(step)
            self.changed.notify_all()
        return [Gang(self.request, self.planned_seconds[step.key], self.run_extra_evaluator)]

    def finish(self) -> None:
        """Wait for all submitted evaluations, and raise the first unexpected exception of an evaluation."""
        self.close()
        if self.persistent_evaluator:
            self.persistent_evaluator.result()
        if self.errors:
            raise self.errors[0]

    def close(self) -> None:
        """Declare that no further evaluations will be submitted."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def run_extra_evaluator(self) -> Sequence[Gang]:
        """Evaluate the queued steps, unless the persistent evaluator finishes them before a new one can start."""
        with self.changed:
            remaining = self.waiting[1 if self.idle else 0 :]
        seconds = sum(self.planned_seconds[step.key] for step in remaining)
        if remaining and (seconds >= EVALUATOR_START_SECONDS or not self.persistent):
            self.run_evaluator(False)
        return []

    def run_evaluator(self, wait: bool) -> None:
        """Evaluate steps from the queue. A student that cannot be evaluated fails alone, and the others continue.

        With `wait`, run until the pool is closed; otherwise, stop when the queue is empty.
        """
        evaluator = Evaluator(self.context, f"{self.context.run_id}/examiner-{len(self.evaluators)}", self.request)
        self.evaluators.append(evaluator)
        while step := self.next_step(evaluator, wait):
            try:
                evaluator.evaluate_step(step)
            except (LoadError, EngineLost, SandboxError) as error:
                evaluator.release()
                self.on_failure(step, with_details(str(error), error))
            except Exception as error:  # raised by `finish`, after all trainings and other evaluations
                evaluator.release()
                error.add_note(step.label)
                self.errors.append(error)
            with self.changed:
                self.running_code = self.running_code and not _runs_code(step)
                self.changed.notify_all()
        evaluator.release()

    def next_step(self, evaluator: Evaluator, wait: bool) -> Step | None:
        """Take a step from the queue: of the loaded student if possible, else of one that no other evaluator has.

        Return None if no step is runnable and the pool is closed or `wait` is False. Only one step at a time runs code:
        its sandboxes use all CPUs, and programs have a time limit.
        """
        with self.changed:
            while not (runnable := [step for step in self.waiting if not (self.running_code and _runs_code(step))]):
                if self.closed or not wait:
                    return None
                self.idle = True
                self.changed.wait()
                self.idle = False
            others = {each.student for each in self.evaluators if each is not evaluator}
            step = min(
                runnable, key=lambda step: (_student_key(step) != evaluator.student, _student_key(step) in others)
            )
            self.waiting.remove(step)
            self.running_code = self.running_code or _runs_code(step)
            evaluator.student = _student_key(step)
            return step


class Evaluator:
    """A replica that evaluates one student after another. All benchmarks of a student share one load."""

    def __init__(self, context: RunContext, name: str, request: ResourceRequest) -> None:
        self.context, self.name, self.request = context, name, request
        self.student = ""
        self.pool: Pool | None = None
        self.start_seconds = 0.0  # seconds that the current step waited for the replica
        self.stopped = False

    def stop(self) -> None:
        """Stop the replica permanently; its open requests fail."""
        self.stopped = True
        self.release()

    def release(self) -> None:
        """Stop the replica, if it is running, and count its retries."""
        pool, self.pool, self.student = self.pool, None, ""
        if pool is not None:
            with suppress(RayError):
                self.context.count_evaluator(pool.stats(STATS_TIMEOUT))
            pool.close()

    def evaluate_step(self, step: Step) -> None:
        """Run and commit one evaluate step."""

        def attempt() -> Answers:
            return evaluate(self.context, step, self.pool_for(step).client())

        self.start_seconds, started = 0.0, time.monotonic()
        rows, failed = with_retries(
            self.context.retries, step.label, attempt, self.context.progress.print, self.release
        )
        seconds = time.monotonic() - started
        extra = {"start_seconds": self.start_seconds}
        manifest = commit_rows(self.context.store, step, [*rows], failed, len(rows) + len(failed), seconds, extra)
        self.context.progress.finish_step(manifest)

    def pool_for(self, step: Step) -> Pool:
        """Return the replica's pool with the weights of the step's student; start or reload it if needed.

        Raises:
            RuntimeError: If the evaluator was stopped.
        """
        if self.stopped:
            raise RuntimeError(f"{self.name} was stopped, because the run has finished or was interrupted")
        context = self.context
        trained = [context.store.address(needed.kind, needed.key, CHECKPOINT_FOLDER) for needed in step.inputs]
        spec = evaluated_spec(
            context.study, _params(step).model, context.folder, *trained, template=_params(step).template
        )
        if self.pool is None:
            resources, max_ongoing_requests = (
                ReplicaResources(self.request.cpus, self.request.gpus, self.request.accelerator_type),
                ENGINES[spec.engine].default_max_ongoing_requests,
            )
            requested_at = time.monotonic()
            self.pool = Pool(
                PoolSpec(
                    spec,
                    self.name,
                    resources,
                    max_ongoing_requests=max_ongoing_requests,
                    load_timeout=model_load_timeout(context.study.models[_params(step).model], context.folder),
                )
            )
            self.pool.wait_until_ready(PLACEMENT_TIMEOUT)
            self.start_seconds += time.monotonic() - requested_at
        elif self.pool.pool_spec.spec != spec:
            self.pool.swap_model(spec)
        return self.pool


def _params(step: Step) -> EvaluateParams:
    assert isinstance(step.params, EvaluateParams)
    return step.params


def _student_key(step: Step) -> str:
    return "/".join((_params(step).model, _params(step).template or "", *(needed.key for needed in step.inputs)))


def _runs_code(step: Step) -> bool:
    return _params(step).benchmark.traits.runs_code
