"""Runs jobs and checks in zygotes on this machine: protection levels, self-test, recycling, reruns after own faults."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from queue import SimpleQueue
from types import TracebackType
from typing import TypeVar

from actors.sandbox.attempt import UnsendableJob, attempt_cases, attempt_check
from actors.sandbox.protocol.job import LAYERS, Check, Level, Outcome, Plain, SandboxError, SandboxJob
from actors.sandbox.selftest import self_test
from actors.sandbox.zygote_process import Zygote, ZygoteLost

MAX_ATTEMPTS = 3
JOBS_PER_ZYGOTE = 2000
Item = TypeVar("Item")
Result = TypeVar("Result")


class Sandbox:
    """Runs untrusted Python code on a number of zygotes. Thread-safe.

    The sandbox never lowers its level by itself: a level below L2 must be requested, and every Outcome carries it.
    """

    def __init__(self, level: Level = "L2", workers: int = 1, layers: frozenset[str] | None = None) -> None:
        """Start `workers` zygotes.

        Args:
            level: The protection level.
            workers: The number of zygotes, and so of jobs that can run at the same time.
            layers: The layers to install instead of the level's own. The self-test still requires all of the level.

        Raises:
            SandboxError: This machine cannot provide `level`.
        """
        if sys.platform != "linux":
            raise SandboxError("untrusted code can be run on Linux only; use a container or a virtual machine")
        self.level: Level = level
        self._layers = LAYERS[level] if layers is None else layers
        self._workers = workers
        self._closed = False
        self._zygotes: SimpleQueue[Zygote | None] = SimpleQueue()
        try:
            for _ in range(workers):
                self._zygotes.put(self._start_zygote())
        except ZygoteLost as error:
            self.close()
            raise SandboxError(_unavailable_message(level, str(error))) from None

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def run(self, job: SandboxJob) -> Outcome:
        """Execute the source and, if the job names a function, call it with the job's arguments."""
        return self.run_cases(job, [job.arguments])[0]

    def run_cases(self, job: SandboxJob, cases: Sequence[tuple[Plain, ...]]) -> list[Outcome]:
        """Call the job's function once per tuple of arguments, and return the outcomes in the same order.

        All cases run in one process. If a case makes it exit, a new process runs the remaining cases.
        """
        outcomes: list[Outcome] = []
        while remaining := cases[len(outcomes) :]:
            outcomes += self._attempt(
                job.id, len(remaining), lambda zygote, remaining=remaining: attempt_cases(zygote, job, remaining)
            )
        return outcomes

    def check(self, check: Check) -> Outcome:
        """Run a benchmark's tests on a solution. All tests passed if the outcome's value is True.

        This verdict comes from the tests' process, which does not execute the solution.
        """
        return self._attempt(check.id, 1, lambda zygote: [attempt_check(zygote, check)])[0]

    def map(self, act: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Call `act` with each item, on all zygotes in parallel: `sandbox.map(sandbox.run, jobs)`."""
        with ThreadPoolExecutor(self._workers) as threads:
            return list(threads.map(act, items))

    def close(self) -> None:
        """Stop all zygotes and the processes that they started. A busy zygote stops after its job."""
        self._closed = True
        while not self._zygotes.empty():
            zygote = self._zygotes.get()
            if zygote is not None:
                zygote.close()

    def _start_zygote(self) -> Zygote:
        zygote = Zygote(sorted(self._layers), sorted(LAYERS[self.level]))
        try:
            self_test(zygote, self.level)
        except ZygoteLost:
            zygote.close()
            raise
        return zygote

    def _attempt(self, identity: str, count: int, act: Callable[[Zygote], list[Outcome]]) -> list[Outcome]:
        """Call `act` with a zygote and return its outcomes. If the sandbox itself fails, retry with a new zygote."""
        if self._closed:
            raise SandboxError("the sandbox is closed")
        zygote = self._zygotes.get()
        try:
            fault = ""
            for _ in range(MAX_ATTEMPTS):
                try:
                    zygote = self._usable_zygote(zygote)
                    return [replace(outcome, level=self.level) for outcome in act(zygote)]
                except UnsendableJob as error:
                    return [Outcome(identity, "refused", detail=str(error), level=self.level)] * count
                except ZygoteLost as error:
                    fault = str(error)
                    zygote = _close_zygote(zygote)
            return [Outcome(identity, "infrastructure", detail=fault, level=self.level)] * count
        finally:
            self._zygotes.put(_close_zygote(zygote) if self._closed else zygote)

    def _usable_zygote(self, zygote: Zygote | None) -> Zygote:
        """Return a running zygote, a new one if it has reached `JOBS_PER_ZYGOTE`."""
        if zygote is not None and zygote.jobs >= JOBS_PER_ZYGOTE:
            zygote = _close_zygote(zygote)
        return zygote or self._start_zygote()


def _close_zygote(zygote: Zygote | None) -> None:
    if zygote is not None:
        zygote.close()


def _unavailable_message(level: Level, why: str) -> str:
    return (
        f"the sandbox cannot protect this machine at level {level}: {why}. See docs/install.md for the requirements of "
        "each level. To run untrusted code with less protection, set a lower level."
    )
