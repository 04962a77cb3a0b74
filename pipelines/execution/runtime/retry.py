"""Retries after infrastructure failures. Retries of requests, replicas, trainings and steps are counted for a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeVar

import ray
from ray.exceptions import RayError, RayTaskError
from rich.markup import escape

from actors.engine import EndpointRefused, EngineLost, LoadError
from actors.engines.http.options import HTTP_RETRIES
from actors.sandbox.protocol.job import SandboxError
from actors.serving.queueing.poison_search import MAX_CRASHES_ISOLATED
from actors.serving.replica_set import MAX_CRASHES, MAX_LOAD_CRASHES
from actors.serving.spec import PoolStats
from actors.training.host import MAX_LOST_WORKERS
from cluster.errors import error_line
from pipelines.store.studies.retry_log import Retry

MAX_STEP_RETRIES = 2  # retries of a step after a failure that its rows did not cause
T = TypeVar("T")


@dataclass
class RetryBudget:
    """Counts the retries of a run. Several threads may add retries."""

    counts: dict[tuple[str, str], Retry] = field(default_factory=dict[tuple[str, str], Retry])
    lock: Lock = field(default_factory=Lock)

    def add_pool(self, model: str, stats: PoolStats) -> None:
        """Add the retries of a pool that has been closed."""
        asked = f"each {HTTP_RETRIES} times, or as option 'retries' says"
        self._add(Retry(level="request", of=f"{model}, to its endpoint", spent=stats.totals.retries, allowed=asked))
        alone = f"each until {MAX_CRASHES_ISOLATED} crashes in isolation"
        self._add(Retry(level="request", of=f"{model}, after a crash", spent=stats.retried, allowed=alone))
        crashes = f"{MAX_LOAD_CRASHES} while loading, {MAX_CRASHES} without an answer"
        self._add(Retry(level="replica", of=model, spent=stats.totals.crashes, allowed=crashes))

    def add_training(self, label: str, restarts: int) -> None:
        """Add the restarts of a training."""
        self._add(Retry(level="training", of=label, spent=restarts, allowed=f"{MAX_LOST_WORKERS} lost workers"))

    def add_step(self, label: str) -> None:
        """Add one more attempt at a step."""
        self._add(Retry(level="step", of=label, spent=1, allowed=str(MAX_STEP_RETRIES)))

    def all(self) -> list[Retry]:
        """Return all retries, ordered by level and name."""
        return sorted(self.counts.values(), key=lambda retry: (retry.level, retry.of))

    def _add(self, more: Retry) -> None:
        with self.lock:
            before = self.counts.get((more.level, more.of))
            spent = more.spent + (before.spent if before else 0)
            if spent:
                self.counts[more.level, more.of] = more.model_copy(update={"spent": spent})


def with_retries(
    retries: RetryBudget,
    label: str,
    attempt: Callable[[], T],
    notify: Callable[[str], None],
    before_retry: Callable[[], None],
) -> T:
    """Return the result of `attempt`, which is retried if an engine, sandbox, process or node is lost.

    There are up to MAX_STEP_RETRIES retries, and `before_retry` is called before each. The failure of the last attempt
    is raised. Any other exception is raised immediately.
    """
    for spent in range(MAX_STEP_RETRIES + 1):
        try:
            return attempt()
        except (EngineLost, SandboxError, RayError) as error:
            is_bug = isinstance(error, RayTaskError) and not isinstance(error, EngineLost | SandboxError)
            if isinstance(error, EndpointRefused) or is_bug or spent == MAX_STEP_RETRIES or not ray.is_initialized():
                raise
            retries.add_step(label)
            reason = error_line(error).partition(": ")[2]
            notify(f"[yellow]{label} failed[/yellow]: {escape(reason)}: retry {spent + 1} of {MAX_STEP_RETRIES}")
            before_retry()
    raise AssertionError("unreachable")


def root_cause(error: Exception) -> Exception:
    """Return the original exception, without the exceptions that wrap it."""
    while not isinstance(error, EngineLost | LoadError | SandboxError):
        inner = getattr(error, "cause", None) or error.__cause__
        if isinstance(error, ExceptionGroup):
            inner = error.exceptions[0]
        if not isinstance(inner, Exception):
            return error
        error = inner
    return error
