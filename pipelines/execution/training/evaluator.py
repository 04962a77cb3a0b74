"""A replica that evaluates students: one after another, or several of one base side by side."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from threading import Lock, RLock

from ray.exceptions import RayError, RayTaskError

from actors.engine import Client, EngineLost, LoadError
from actors.engines.registry import spec_info
from actors.serving.pool import Pool
from actors.serving.spec import PoolSpec, ReplicaResources
from cluster.resources.placement import ResourceRequest
from pipelines.evaluate.suite import Answers
from pipelines.execution.runtime.commit import commit_rows
from pipelines.execution.runtime.context import RunContext
from pipelines.execution.runtime.retry import with_retries
from pipelines.execution.training.evaluation import evaluate
from pipelines.execution.training.shared_base import EvaluatedModel
from pipelines.study.graph.steps.step import Step
from pipelines.study.inputs.models import MAX_TOGETHER

STATS_TIMEOUT = 5.0
PLACEMENT_TIMEOUT = 3600.0  # seconds; trainings, which may occupy the GPUs, wait equally long for their workers


class SharedEngineError(Exception):
    """A student could not be evaluated on its base's engine.

    `engine_failed`: nor could the others that are running; `not_loaded`: nor can any other student.
    """

    def __init__(self, cause: Exception, model: EvaluatedModel) -> None:
        super().__init__(str(cause))
        self.not_loaded = isinstance(cause, LoadError) and cause.model == model.spec.model
        self.engine_failed = self.not_loaded or not isinstance(cause, LoadError)


class TimeShares:
    """Splits the time of a replica among the steps that use it at once, so that their times add up to its own."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._active, self._share, self._changed = 0, 0.0, time.monotonic()

    def share(self) -> float:
        """Return the seconds so far of a step that has always been running, each divided by the steps of its time."""
        with self._lock:
            return self._advance()

    @contextmanager
    def running(self) -> Generator[None]:
        """Count one more running step within the block."""
        self._add(1)
        try:
            yield
        finally:
            self._add(-1)

    def _add(self, steps: int) -> None:
        with self._lock:
            self._advance()
            self._active += steps

    def _advance(self) -> float:
        now = time.monotonic()
        self._share += (now - self._changed) / max(1, self._active)
        self._changed = now
        return self._share


class Evaluator:
    """A replica that evaluates models. All benchmarks of a model share one load, and so do students on their base.

    `model` is what the replica has loaded, or is about to load, and `active` the number of its running steps.
    """

    def __init__(self, context: RunContext, name: str, request: ResourceRequest) -> None:
        self.context, self.name, self.request = context, name, request
        self.model: EvaluatedModel | None = None
        self.active = self.active_harness = 0
        self.pool: Pool | None = None
        self.stopped = False
        self._lock, self._shares = RLock(), TimeShares()

    def stop(self) -> None:
        """Stop the replica permanently; its open requests fail."""
        self.stopped = True
        self.release()

    def release(self) -> None:
        """Stop the replica, if it is running, and count its retries."""
        pool, self.pool, self.model = self.pool, None, None
        if pool is not None:
            with suppress(RayError):
                self.context.count_evaluator(pool.stats(STATS_TIMEOUT))
            pool.close()

    def evaluate_step(self, step: Step, model: EvaluatedModel) -> None:
        """Run and commit one evaluate step.

        Raises:
            SharedEngineError: The engine of the student's base failed, or cannot apply its adapter.
        """
        waited = list[float]()

        def attempt() -> Answers:
            with _sharing(model) if model.places else nullcontext():
                return evaluate(self.context, step, self._client(model, waited))

        with self._shares.running():
            started = self._shares.share()
            before_retry = (lambda: None) if model.places else self.release  # others use a shared engine
            rows, failed = with_retries(
                self.context.retries, step.label, attempt, self.context.progress.print, before_retry
            )
            seconds = self._shares.share() - started
        extra = {"start_seconds": sum(waited)}
        manifest = commit_rows(self.context.store, step, [*rows], failed, len(rows) + len(failed), seconds, extra)
        self.context.progress.finish_step(manifest)

    def _client(self, model: EvaluatedModel, waited: list[float]) -> Client:
        """Return the client of a model; start the replica, or load the model, if needed.

        The step's share of the time for starting the replica is appended to `waited`.

        Raises:
            RuntimeError: If the evaluator was stopped.
            EngineLost: If the engine of a base was stopped since the step was taken.
        """
        if self.stopped:
            raise RuntimeError(f"{self.name} was stopped, because the run has finished or was interrupted")
        started, starting = self._shares.share(), self.pool is None
        with self._lock:
            if model.places and (self.model is None or self.model.spec != model.spec):
                raise EngineLost(model.spec.model, "it was stopped after it had failed with another student")
            pool = self._pool_of(model)
        if starting:
            waited.append(self._shares.share() - started)
        return model.client(pool.client())

    def _pool_of(self, model: EvaluatedModel) -> Pool:
        if self.pool is None:
            spec = model.spec
            resources = ReplicaResources(self.request.cpus, self.request.gpus, self.request.accelerator_type)
            open_requests = spec_info(spec).default_max_ongoing_requests * MAX_TOGETHER
            pool_spec = PoolSpec(spec, self.name, resources, max_ongoing_requests=open_requests)
            self.pool = Pool(replace(pool_spec, load_timeout=model.load_timeout))
            self.pool.wait_until_ready(PLACEMENT_TIMEOUT)
        elif self.pool.pool_spec.spec != model.spec:
            self.pool.swap_model(model.spec)
        self.model = model
        return self.pool


@contextmanager
def _sharing(model: EvaluatedModel) -> Generator[None]:
    """Raise SharedEngineError for failures of an engine, and of a student's adapter on it."""
    try:
        yield
    except (LoadError, EngineLost) as error:
        raise SharedEngineError(error, model) from error
    except RayError as error:
        if isinstance(error, RayTaskError):  # an unexpected error of lm-eval's process
            raise
        raise SharedEngineError(error, model) from error
