"""Retries and their budgets: everything that is tried again in a run is counted, from the request to the step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeVar

import ray
from ray.exceptions import RayError, RayTaskError
from rich.markup import escape

from actors.engine import EngineLost, LoadError
from actors.engines.http.endpoint import HTTP_RETRIES
from actors.sandbox.protocol.job import SandboxError
from actors.serving.poison_search import MAX_CRASHES_ISOLATED
from actors.serving.replica_set import MAX_CRASHES, MAX_LOAD_CRASHES
from actors.serving.spec import PoolStats
from actors.training.host import MAX_LOST_WORKERS
from pipelines.store.studies.retry_log import Retry

MAX_STEP_RETRIES = 2  # times that a step is tried again after a failure that is none of its rows'
T = TypeVar("T")


@dataclass
class RetryBudget:
    """Counts what is tried again in a run; from several threads."""

    counts: dict[tuple[str, str], Retry] = field(default_factory=dict[tuple[str, str], Retry])
    lock: Lock = field(default_factory=Lock)

    def add_pool(self, model: str, stats: PoolStats) -> None:
        """Add what a pool that is no more had to try again."""
        asked = f"each {HTTP_RETRIES} times (option 'retries')"
        self._add(Retry(level="request", of=f"{model}, to its endpoint", spent=stats.totals.retries, allowed=asked))
        alone = f"each until {MAX_CRASHES_ISOLATED} deaths alone"
        self._add(Retry(level="request", of=f"{model}, after a death", spent=stats.retried, allowed=alone))
        deaths = f"{MAX_LOAD_CRASHES} while loading, {MAX_CRASHES} without an answer"
        self._add(Retry(level="replica", of=model, spent=stats.totals.crashes, allowed=deaths))

    def add_training(self, label: str, restarts: int) -> None:
        """Add the restarts of a training."""
        self._add(Retry(level="training", of=label, spent=restarts, allowed=f"{MAX_LOST_WORKERS} lost workers"))

    def add_step(self, label: str) -> None:
        """Add one more attempt at a step."""
        self._add(Retry(level="step", of=label, spent=1, allowed=str(MAX_STEP_RETRIES)))

    def all(self) -> list[Retry]:
        """Everything that was tried again."""
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
    """What `attempt` returns; after a lost engine, sandbox, process or node it is made AGAIN times more.

    `before_retry` comes before each further attempt. The last failure is raised, and so is at once what is no such
    failure.
    """
    for spent in range(MAX_STEP_RETRIES + 1):
        try:
            return attempt()
        except (EngineLost, SandboxError, RayError) as error:
            is_bug = isinstance(error, RayTaskError) and not isinstance(error, EngineLost | SandboxError)
            if is_bug or spent == MAX_STEP_RETRIES or not ray.is_initialized():
                raise
            retries.add_step(label)
            reason = " ".join(str(error).split())
            notify(f"[yellow]{label} failed[/yellow]: {escape(reason)}: tried again, {spent + 1} of {MAX_STEP_RETRIES}")
            before_retry()
    raise AssertionError("unreachable")


def root_cause(error: Exception) -> Exception:
    """What went wrong, without the layers that carried it here."""
    while not isinstance(error, EngineLost | LoadError | SandboxError):
        inner = getattr(error, "cause", None) or error.__cause__
        if isinstance(error, ExceptionGroup):
            inner = error.exceptions[0]
        if not isinstance(inner, Exception):
            return error
        error = inner
    return error
