"""Sandboxes on the nodes of a Ray cluster: one zygote per actor, and a client that any worker can use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ray
from ray.exceptions import RayActorError

from actors.sandbox.protocol.job import Check, Level, Outcome, Plain, SandboxError, SandboxJob
from actors.sandbox.sandbox import Sandbox

UNLIMITED_RESTARTS = -1  # Ray's value: losing a node is not the jobs' fault
MAX_RERUNS = 3  # of a call whose actor crashed
CPUS_PER_SANDBOX = 0.5
Handle = Any  # of a SandboxActor: Ray's handles do not have typed methods


class SandboxActor:
    """An actor with one sandbox, which starts at the first call and runs one job at a time."""

    def __init__(self, level: Level) -> None:
        self._level: Level = level
        self._sandbox: Sandbox | None = None

    def start(self) -> str:
        """Start the sandbox if it is not running. Return the problem, empty if there is none."""
        try:
            self._sandbox = self._sandbox or Sandbox(self._level)
        except SandboxError as error:
            return str(error)
        return ""

    def call(self, method: str, identity: str, count: int, *arguments: Any) -> list[Outcome]:
        """Call a method of the sandbox and return its outcomes.

        If the sandbox cannot be started, return `count` outcomes with the status "infrastructure".
        """
        fault = self.start()
        if self._sandbox is None:
            return [Outcome(identity, "infrastructure", detail=fault, level=self._level)] * count
        result = getattr(self._sandbox, method)(*arguments)
        return result if isinstance(result, list) else [result]


class SandboxClient:
    """Sends jobs to the least busy sandbox. Picklable.

    If an actor crashes repeatedly, its jobs get outcomes with the status "infrastructure".
    """

    def __init__(self, actors: Sequence[Handle], level: Level) -> None:
        self._actors = tuple(actors)
        self._level: Level = level
        self._load = [0] * len(self._actors)

    def __reduce__(self) -> tuple[Any, ...]:
        return SandboxClient, (self._actors, self._level)

    async def run(self, job: SandboxJob) -> Outcome:
        """Run one job, as `Sandbox.run` does."""
        return (await self._call("run", job.id, 1, job))[0]

    async def run_cases(self, job: SandboxJob, cases: Sequence[tuple[Plain, ...]]) -> list[Outcome]:
        """Run a job's cases, as `Sandbox.run_cases` does."""
        return await self._call("run_cases", job.id, len(cases), job, list(cases))

    async def check(self, check: Check) -> Outcome:
        """Run a check, as `Sandbox.check` does."""
        return (await self._call("check", check.id, 1, check))[0]

    async def _call(self, method: str, identity: str, count: int, *arguments: Any) -> list[Outcome]:
        chosen = min(range(len(self._actors)), key=self._load.__getitem__)
        self._load[chosen] += 1
        try:
            return await self._actors[chosen].call.remote(method, identity, count, *arguments)
        except RayActorError as error:
            detail = f"the sandbox's actor crashed {MAX_RERUNS + 1} times: {str(error).splitlines()[0]}"
            return [Outcome(identity, "infrastructure", detail=detail, level=self._level)] * count
        finally:
            self._load[chosen] -= 1


class SandboxPool:
    """A number of sandboxes. They stop when the driver exits or calls `close`."""

    def __init__(self, size: int = 2, level: Level = "L2", cpus_per_sandbox: float = CPUS_PER_SANDBOX) -> None:
        """Start `size` sandboxes.

        Raises:
            SandboxError: A node cannot provide `level`.
        """
        actor: Any = ray.remote(SandboxActor)
        self._level: Level = level
        actor = actor.options(num_cpus=cpus_per_sandbox, max_restarts=UNLIMITED_RESTARTS, max_task_retries=MAX_RERUNS)
        self._actors = [actor.remote(level) for _ in range(size)]
        faults = [fault for fault in ray.get([keeper.start.remote() for keeper in self._actors]) if fault]
        if faults:
            self.close()
            raise SandboxError(faults[0])

    def __enter__(self) -> SandboxPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def client(self) -> SandboxClient:
        """Return a client. It can be used in this process or sent to workers."""
        return SandboxClient(self._actors, self._level)

    def close(self) -> None:
        """Kill the actors, and with them their zygotes and jobs."""
        for keeper in self._actors:
            ray.kill(keeper)
