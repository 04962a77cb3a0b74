"""Sandboxes on the machines of a Ray cluster: one zygote per actor, and a client that any worker can use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ray
from ray.exceptions import RayActorError

from actors.sandbox.protocol.job import Check, Level, Outcome, Plain, SandboxError, SandboxJob
from actors.sandbox.sandbox import Sandbox

UNLIMITED_RESTARTS = -1  # of an actor: a machine that goes is none of its jobs' fault
MAX_RERUNS = 3  # of a call whose actor died under it
CPUS_PER_SANDBOX = 0.5
Handle = Any  # of a SandboxActor: Ray's handles do not tell the checker what their methods give


class SandboxActor:
    """The actor: one sandbox, started at the first call, one job at a time."""

    def __init__(self, level: Level) -> None:
        self._level: Level = level
        self._sandbox: Sandbox | None = None

    def start(self) -> str:
        """Start the sandbox; what is wrong, or nothing."""
        try:
            self._sandbox = self._sandbox or Sandbox(self._level)
        except SandboxError as error:
            return str(error)
        return ""

    def call(self, method: str, identity: str, count: int, *arguments: Any) -> list[Outcome]:
        """Outcomes of one of the sandbox's methods; infrastructure ones where it can not be started here."""
        fault = self.start()
        if self._sandbox is None:
            return [Outcome(identity, "infrastructure", detail=fault, level=self._level)] * count
        result = getattr(self._sandbox, method)(*arguments)
        return result if isinstance(result, list) else [result]


class SandboxClient:
    """Sends jobs to the least busy sandbox. Picklable. What fails for reasons of ours is `infrastructure`, not lost."""

    def __init__(self, actors: Sequence[Handle], level: Level) -> None:
        self._actors = tuple(actors)
        self._level: Level = level
        self._load = [0] * len(self._actors)

    def __reduce__(self) -> tuple[Any, ...]:
        return SandboxClient, (self._actors, self._level)

    async def run(self, job: SandboxJob) -> Outcome:
        """As `Sandbox.run`."""
        return (await self._call("run", job.id, 1, job))[0]

    async def run_cases(self, job: SandboxJob, cases: Sequence[tuple[Plain, ...]]) -> list[Outcome]:
        """As `Sandbox.run_cases`."""
        return await self._call("run_cases", job.id, len(cases), job, list(cases))

    async def check(self, check: Check) -> Outcome:
        """As `Sandbox.check`."""
        return (await self._call("check", check.id, 1, check))[0]

    async def _call(self, method: str, identity: str, count: int, *arguments: Any) -> list[Outcome]:
        chosen = min(range(len(self._actors)), key=self._load.__getitem__)
        self._load[chosen] += 1
        try:
            return await self._actors[chosen].call.remote(method, identity, count, *arguments)
        except RayActorError as error:
            detail = f"the sandbox's actor died {MAX_RERUNS + 1} times: {str(error).splitlines()[0]}"
            return [Outcome(identity, "infrastructure", detail=detail, level=self._level)] * count
        finally:
            self._load[chosen] -= 1


class SandboxPool:
    """`size` sandboxes, which end with the driver or with `close`. SandboxError if one can not give `level`."""

    def __init__(self, size: int = 2, level: Level = "L2", cpus_per_sandbox: float = CPUS_PER_SANDBOX) -> None:
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
        """A client, to be used here or sent to workers."""
        return SandboxClient(self._actors, self._level)

    def close(self) -> None:
        """End the actors; their zygotes and jobs end with them."""
        for keeper in self._actors:
            ray.kill(keeper)
