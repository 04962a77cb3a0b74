"""A replica of a remote model in the process of its router: its engine only calls a server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import ray

from actors.engine import EngineSpec
from actors.serving.liveness.watchdog import Watchdog
from actors.serving.replica import Replica
from actors.serving.replica_handle import ReplicaDied, ReplicaHandle
from cluster.errors import error_line


@dataclass(frozen=True, slots=True)
class _Method:
    """A method that is called as an actor's is, with `remote`."""

    function: Callable[..., Awaitable[Any]]
    tasks: set[asyncio.Task[Any]]

    def remote(self, *arguments: Any) -> asyncio.Task[Any]:
        """Start the method; the task raises ReplicaDied if the method raises."""
        task = asyncio.create_task(self._run(*arguments))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def _run(self, *arguments: Any) -> Any:
        try:
            return await self.function(*arguments)
        except Exception as error:
            raise ReplicaDied(error_line(error)) from error


class LocalReplica:
    """Stands for a replica's actor, and runs its methods as tasks of this event loop."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._tasks: set[asyncio.Task[Any]] = set()

    def __getattr__(self, name: str) -> _Method:
        return _Method(getattr(self._replica, name), self._tasks)

    def end(self) -> None:
        """Cancel what is running, and unload the model."""
        for task in self._tasks:
            task.cancel()
        self.close.remote()


class HostedReplica(ReplicaHandle):
    """A replica without a process, reservation and node of its own. A crash of its process is one of its router, too.

    A replica whose engine hangs, or raises where it must not, is replaced.
    """

    async def start(self, spec: EngineSpec) -> None:
        """Load the model.

        Raises:
            LoadError: The model cannot be loaded.
            ReplicaDied: The engine raised an unexpected error.
        """
        self.state = "loading"
        self.stats.pid = os.getpid()
        self._replica = LocalReplica(Replica(threads=1, gpus=(), gpu_fraction=0))
        await self.load(spec)
        self.state = "ready"

    def _new_watchdog(self, node: str) -> Watchdog:
        return super()._new_watchdog(ray.get_runtime_context().get_node_id())

    def _kill(self) -> None:
        if self._replica is not None:
            self._replica.end()
            self._replica = None
