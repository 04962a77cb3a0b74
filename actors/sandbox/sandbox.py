"""Runs jobs and checks in zygotes of this machine: levels, self-test, recycling, reruns after a fault of our own."""

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
    """Runs foreign Python on `workers` zygotes. Threads may share it. SandboxError where `level` can not be had.

    A level below L2 must be named, and every Outcome carries it: there is no way down by itself. `layers` are those to
    be put up instead of the level's, which must all be there nevertheless.
    """

    def __init__(self, level: Level = "L2", workers: int = 1, layers: frozenset[str] | None = None) -> None:
        if sys.platform != "linux":
            raise SandboxError("foreign code can be run on Linux only; use a container or a virtual machine")
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
        """One outcome per tuple of arguments, in order; one process does them all as long as it lives.

        A case that ends the process ends only itself: the rest is done by a new one.
        """
        outcomes: list[Outcome] = []
        while remaining := cases[len(outcomes) :]:
            outcomes += self._attempt(
                job.id, len(remaining), lambda zygote, remaining=remaining: attempt_cases(zygote, job, remaining)
            )
        return outcomes

    def check(self, check: Check) -> Outcome:
        """Run a benchmark's tests on a solution; all passed if the outcome's value is True.

        That verdict comes from the tests' process, which runs no line of the solution.
        """
        return self._attempt(check.id, 1, lambda zygote: [attempt_check(zygote, check)])[0]

    def map(self, act: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Do something with each item, on all zygotes at once: `sandbox.map(sandbox.run, jobs)`."""
        with ThreadPoolExecutor(self._workers) as threads:
            return list(threads.map(act, items))

    def close(self) -> None:
        """End all zygotes and what they started; one that is at work does so after its job."""
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
        """Outcomes of an act on a zygote, which is done again on a new one where the sandbox itself fails."""
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
        """A zygote that is alive and not worn out."""
        if zygote is not None and zygote.jobs >= JOBS_PER_ZYGOTE:
            zygote = _close_zygote(zygote)
        return zygote or self._start_zygote()


def _close_zygote(zygote: Zygote | None) -> None:
    if zygote is not None:
        zygote.close()


def _unavailable_message(level: Level, why: str) -> str:
    return (
        f"the sandbox can not protect this machine at level {level}: {why}. What each level needs, and how to get it, "
        "is in docs/install.md. To run foreign code with less protection, name the level."
    )
