"""Schedules evaluations: each starts as soon as its student is trained and an evaluator is free.

Students of one base share an evaluator's engine, unless there are resources for more evaluators.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Condition
from types import TracebackType
from typing import Self

from rich.markup import escape

from actors.engine import EngineLost, EngineSpec, LoadError
from actors.sandbox.protocol.job import SandboxError
from cluster.resources.placement import ResourceRequest
from pipelines.errors import with_details
from pipelines.execution.runtime.context import RunContext
from pipelines.execution.training.evaluator import Evaluator, SharedEngineError
from pipelines.execution.training.gang_scheduler import Gang, thread_pool
from pipelines.execution.training.shared_base import EvaluatedModel, evaluated_model
from pipelines.planning.plan import Plan
from pipelines.planning.requests import EVALUATOR_START_SECONDS, evaluator_request
from pipelines.study.graph.steps.params.students import EvaluateParams
from pipelines.study.graph.steps.step import Step
from pipelines.study.inputs.models import MAX_TOGETHER

SHARE_AFTER_SECONDS = 1.0  # in which an evaluation gets an evaluator of its own, if there are resources for one
MAX_HARNESSES = 2  # evaluations by lm-eval on one shared engine: each has a process of its own


@dataclass(frozen=True, slots=True)
class WaitingStep:
    """An evaluate step in the queue, the engine that it needs, and the time since which it has been waiting."""

    step: Step
    model: EvaluatedModel
    since: float = field(default_factory=time.monotonic)


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
        self.waiting: list[WaitingStep] = []
        self.running_code = self.closed = False
        self.unshared: set[str] = set()  # bases whose engine failed with adapters
        self.errors: list[Exception] = []
        self.evaluators: list[Evaluator] = []
        self.persistent_evaluator: Evaluator | None = None
        self.changed = Condition()
        self.executor = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        self.persistent_run = self.executor.submit(self.run_evaluator, True) if self.persistent else None
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
        self._queue(step, alone=_params(step).model in self.unshared)
        return [Gang(self.request, self.planned_seconds[step.key], self.run_extra_evaluator)]

    def finish(self) -> None:
        """Wait for all submitted evaluations, and raise the first unexpected exception of an evaluation."""
        self.close()
        if self.persistent_run:
            self.persistent_run.result()
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
            idle = self.persistent_evaluator is not None and not self.persistent_evaluator.active
            remaining = self.waiting[1 if idle else 0 :]
        seconds = sum(self.planned_seconds[waiting.step.key] for waiting in remaining)
        if remaining and (seconds >= EVALUATOR_START_SECONDS or not self.persistent):
            self.run_evaluator(False)
        return []

    def run_evaluator(self, wait: bool) -> None:
        """Evaluate steps from the queue. A student that cannot be evaluated fails alone, and the others continue.

        With `wait`, run until the pool is closed; otherwise, stop when the queue is empty.
        """
        evaluator = Evaluator(self.context, f"{self.context.run_id}/examiner-{len(self.evaluators)}", self.request)
        self.evaluators.append(evaluator)
        if wait:
            self.persistent_evaluator = evaluator
        with thread_pool(MAX_TOGETHER) as threads:
            places = [threads.submit(self._run_place, evaluator, wait) for _ in range(MAX_TOGETHER)]
            for place in places:
                place.result()
        evaluator.release()

    def next_step(self, evaluator: Evaluator, wait: bool) -> WaitingStep | None:
        """Take a step from the queue: of the loaded model if possible, else of one that no other evaluator has.

        Beside running steps, an evaluator takes only steps of the same base for which no other one has started.
        Return None if no step is runnable and the pool is closed or `wait` is False. Only one step at a time runs code:
        its sandboxes use all CPUs, and programs have a time limit.
        """
        with self.changed:
            while not (found := self._runnable(evaluator)):
                if not evaluator.active and (self.closed or not wait):
                    return None
                self.changed.wait(SHARE_AFTER_SECONDS if evaluator.active and self.waiting else None)
            loaded = _spec(evaluator)
            others = [_spec(each) for each in self.evaluators if each is not evaluator]
            taken = min(found, key=lambda each: (each.model.spec != loaded, each.model.spec in others))
            self.waiting.remove(taken)
            self._count(evaluator, taken.step, 1)
            evaluator.model = taken.model
            return taken

    def _run_place(self, evaluator: Evaluator, wait: bool) -> None:
        """Evaluate one step after another in one of the places of an evaluator."""
        while taken := self.next_step(evaluator, wait):
            self._evaluate(evaluator, taken)
            with self.changed:
                self._count(evaluator, taken.step, -1)
                self.changed.notify_all()

    def _evaluate(self, evaluator: Evaluator, taken: WaitingStep) -> None:
        step = taken.step
        try:
            evaluator.evaluate_step(step, taken.model)
        except SharedEngineError as error:
            self._evaluate_alone(evaluator, taken, error)
        except (LoadError, EngineLost, SandboxError) as error:
            self._release(evaluator, taken)
            self.on_failure(step, with_details(str(error), error))
        except Exception as error:  # raised by `finish`, after all trainings and other evaluations
            self._release(evaluator, taken)
            error.add_note(step.label)
            self.errors.append(error)

    def _evaluate_alone(self, evaluator: Evaluator, failed: WaitingStep, error: SharedEngineError) -> None:
        """Queue a student again, with an engine of its own, which decides whether it can be evaluated."""
        if error.engine_failed:
            evaluator.release()
        if evaluator.stopped:
            return
        steps = [failed.step]
        if error.not_loaded:  # nor would it be for the next student
            with self.changed:
                self.unshared.add(_params(failed.step).model)
                steps += [each.step for each in self.waiting if each.model.spec == failed.model.spec]
                self.waiting = [each for each in self.waiting if each.model.spec != failed.model.spec]
        reason = f"[yellow]{escape(failed.step.label)}[/yellow]: {escape(str(error))}: evaluating it on its own engine"
        self.context.retries.add_step(failed.step.label)
        self.context.progress.print(reason)
        for step in steps:
            self._queue(step, alone=True)

    def _queue(self, step: Step, alone: bool) -> None:
        waiting = WaitingStep(step, evaluated_model(self.context, step, alone))
        with self.changed:
            self.waiting.append(waiting)
            self.changed.notify_all()

    def _runnable(self, evaluator: Evaluator) -> list[WaitingStep]:
        """Return the steps of the queue that the evaluator may start now, beside those that it is running."""
        steps = [each for each in self.waiting if not (self.running_code and _runs_code(each.step))]
        if not evaluator.active:
            return steps
        if evaluator.model is None or evaluator.active >= evaluator.model.places:
            return []
        before, spec = time.monotonic() - SHARE_AFTER_SECONDS, evaluator.model.spec
        harness = evaluator.active_harness < MAX_HARNESSES
        return [
            each
            for each in steps
            if each.since <= before and each.model.spec == spec and (harness or not _runs_harness(each.step))
        ]

    def _count(self, evaluator: Evaluator, step: Step, change: int) -> None:
        """Count a step that starts (1) or ends (-1)."""
        evaluator.active += change
        evaluator.active_harness += change * _runs_harness(step)
        if _runs_code(step):
            self.running_code = change > 0

    @staticmethod
    def _release(evaluator: Evaluator, taken: WaitingStep) -> None:
        """Stop an engine that may be the cause of a failure. One with other students is not."""
        if not taken.model.places:
            evaluator.release()


def _spec(evaluator: Evaluator) -> EngineSpec | None:
    return evaluator.model.spec if evaluator.model else None


def _params(step: Step) -> EvaluateParams:
    assert isinstance(step.params, EvaluateParams)
    return step.params


def _runs_code(step: Step) -> bool:
    return _params(step).benchmark.traits.runs_code


def _runs_harness(step: Step) -> bool:
    return bool(_params(step).benchmark.harness)
