"""Watches the process of a replica, from outside: it must answer heartbeats, make progress, and load its model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from ray.exceptions import RayError

from actors.serving.liveness.stall import StallDetector
from cluster.processes import process_cpu_seconds
from cluster.resources.process_activity import Activity

HEARTBEAT_SECONDS = 2.0
CHECKS = 4  # how often a process without a heartbeat is checked within its timeout
SPIN_FACTOR = 30  # how many times longer it may be without progress while it uses the CPU
LOAD_CHECKS = 10  # how often the activity of a loading process is measured within its timeout


@dataclass(frozen=True, slots=True)
class Work:
    """What a replica has to do: the number of requests in flight, and a value that changes with every answer."""

    in_flight: int
    answered: Hashable


@dataclass(frozen=True, slots=True)
class Watchdog:
    """Watches one process. `replica` is its Ray actor, on the node with Ray's id `node`."""

    replica: Any
    node: str
    pid: int
    heartbeat_timeout: float
    stall_timeout: float

    async def watch(self, work: Callable[[], Work]) -> str:
        """Return the reason as soon as the process hangs or is stopped. A slow process is neither.

        Raises:
            RayError: The process has exited.
        """
        interval = min(HEARTBEAT_SECONDS, self.stall_timeout / 4)
        longest_tick = interval + self.heartbeat_timeout
        stall = StallDetector(self.stall_timeout, SPIN_FACTOR * self.stall_timeout, longest_tick, time.monotonic())
        while True:
            await asyncio.sleep(interval)
            beat = await self._next_heartbeat()
            if beat is None:
                return f"its process answered no heartbeat for {self.heartbeat_timeout:g} s and used no CPU time"
            (progress, cpu_seconds), current, now = beat, work(), time.monotonic()
            if not current.in_flight:
                stall.rest(now)
            elif stall.observe(now, (progress, current.answered), cpu_seconds):
                seconds = f"{round(stall.seconds_without_progress, 1):g} s"
                return f"no progress for {seconds} with {current.in_flight} requests in flight"

    async def _next_heartbeat(self) -> tuple[int, float] | None:
        """Return the answer to a heartbeat, or None if the process is stopped: it does not answer and uses no CPU."""
        answer = asyncio.ensure_future(await_ref(self.replica.heartbeat.remote()))
        interval = self.heartbeat_timeout / CHECKS
        patience = self.heartbeat_timeout - 1.5 * interval  # the first check is the start; the last may be a bit early
        silence = StallDetector(patience, SPIN_FACTOR * self.stall_timeout, 2 * interval, time.monotonic())
        try:
            while not (await asyncio.wait({answer}, timeout=interval))[0]:
                cpu_seconds = await self._cpu_seconds()
                if cpu_seconds is not None and silence.observe(time.monotonic(), None, cpu_seconds):
                    return None
            return answer.result()
        finally:
            answer.cancel()

    async def _cpu_seconds(self) -> float | None:
        """Return the CPU seconds of the process, -1 if its node is lost, and None if its node is too slow to say."""
        try:
            used = process_cpu_seconds(self.node, self.pid)
            return await asyncio.wait_for(await_ref(used), self.heartbeat_timeout)
        except TimeoutError:
            return None
        except RayError:
            return -1.0


async def load_watched(replica: Any, spec: Any, timeout: float) -> Any:
    """Return the result of the actor's `load`, which may take longer than `timeout` while its process works.

    Raises:
        TimeoutError: The process has waited for `timeout` seconds in all, with little CPU time, input or output.
        RayError: The process has exited.
    """
    result = asyncio.ensure_future(await_ref(replica.load.remote(spec)))
    idle, before = 0.0, Activity(0.0, 0)
    try:
        while not (await asyncio.wait({result}, timeout=timeout / LOAD_CHECKS))[0]:
            activity: Activity = await await_ref(replica.activity.remote())
            idle += 0.0 if activity.is_work(before, timeout / LOAD_CHECKS) else timeout / LOAD_CHECKS
            before = activity
            if idle >= timeout:
                raise TimeoutError
        return result.result()
    finally:
        result.cancel()


async def await_ref(ref: Any) -> Any:
    """Wait for an object reference. A coroutine, as `asyncio` requires."""
    return await ref
