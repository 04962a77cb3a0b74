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
from actors.engines.http.endpoint import RETRIES
from actors.sandbox.protocol.job import SandboxError
from actors.serving.poison_search import DEATHS_ALONE
from actors.serving.replica_set import DEATHS, LOAD_DEATHS
from actors.serving.spec import PoolStats
from actors.training.host import MAX_FAILURES
from pipelines.store.studies.retry_log import Retry

AGAIN = 2  # times that a step is tried again after a failure that is none of its rows'
T = TypeVar("T")


@dataclass
class Retries:
    """Counts what is tried again in a run; from several threads."""

    counted: dict[tuple[str, str], Retry] = field(default_factory=dict[tuple[str, str], Retry])
    lock: Lock = field(default_factory=Lock)

    def of_pool(self, model: str, stats: PoolStats) -> None:
        """Add what a pool that is no more had to try again."""
        asked = f"each {RETRIES} times (option 'retries')"
        self._add(Retry(level="request", of=f"{model}, to its endpoint", spent=stats.work.retries, allowed=asked))
        alone = f"each until {DEATHS_ALONE} deaths alone"
        self._add(Retry(level="request", of=f"{model}, after a death", spent=stats.again, allowed=alone))
        deaths = f"{LOAD_DEATHS} while loading, {DEATHS} without an answer"
        self._add(Retry(level="replica", of=model, spent=stats.work.deaths, allowed=deaths))

    def of_training(self, label: str, restarts: int) -> None:
        """Add the restarts of a training."""
        self._add(Retry(level="training", of=label, spent=restarts, allowed=f"{MAX_FAILURES} lost workers"))

    def of_step(self, label: str) -> None:
        """Add one more attempt at a step."""
        self._add(Retry(level="step", of=label, spent=1, allowed=str(AGAIN)))

    def all(self) -> list[Retry]:
        """Everything that was tried again."""
        return sorted(self.counted.values(), key=lambda retry: (retry.level, retry.of))

    def _add(self, more: Retry) -> None:
        with self.lock:
            before = self.counted.get((more.level, more.of))
            spent = more.spent + (before.spent if before else 0)
            if spent:
                self.counted[more.level, more.of] = more.model_copy(update={"spent": spent})


def tried_again(
    retries: Retries, label: str, attempt: Callable[[], T], tell: Callable[[str], None], before: Callable[[], None]
) -> T:
    """What `attempt` returns; after a lost engine, sandbox, process or node it is made AGAIN times more.

    `before` comes before each further attempt. The last failure is raised, and so is at once what is no such failure.
    """
    for spent in range(AGAIN + 1):
        try:
            return attempt()
        except (EngineLost, SandboxError, RayError) as error:
            ours = isinstance(error, RayTaskError) and not isinstance(error, EngineLost | SandboxError)
            if ours or spent == AGAIN or not ray.is_initialized():
                raise
            retries.of_step(label)
            reason = " ".join(str(error).split())
            tell(f"[yellow]{label} failed[/yellow]: {escape(reason)}: tried again, {spent + 1} of {AGAIN}")
            before()
    raise AssertionError("unreachable")


def innermost(error: Exception) -> Exception:
    """What went wrong, without the layers that carried it here."""
    while not isinstance(error, EngineLost | LoadError | SandboxError):
        inner = getattr(error, "cause", None) or error.__cause__
        if isinstance(error, ExceptionGroup):
            inner = error.exceptions[0]
        if not isinstance(inner, Exception):
            return error
        error = inner
    return error
