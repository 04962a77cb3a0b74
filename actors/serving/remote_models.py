"""One process for all pools whose models are on servers, and the handle to the router of one of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.engine import EngineLost
from actors.serving.liveness.watchdog import Watchdog, Work, await_ref
from actors.serving.replica_handle import NAMESPACE
from actors.serving.router import ROUTER_CONCURRENCY, Router
from actors.serving.spec import PoolClosed, PoolSpec
from cluster.connection.background import BackgroundWork
from cluster.processes import kill_process

THREADS = 128  # at most: models load in threads, which mostly wait for their servers
JOIN_TIMEOUT = 300.0  # seconds until the process must have started
JOIN_RETRY_SECONDS = 0.2  # while a previous process of the same name is ending
END_DELAY_SECONDS = 0.2  # for the answer to the last `close`
RESTART_SECONDS = 1.0  # before a process that has crashed is watched again

_started: dict[str, Any] = {}  # the processes that this one has started: Ray ends them with their last handle
_watched: set[str] = set()  # Ray's ids of their actors, and of those that it has joined
_start_lock = threading.Lock()


class RemoteModels:
    """Runs the routers and replicas of any number of pools, and ends with the last of them.

    Every call contains the pool's specification: after a crash, Ray starts an empty process.
    """

    def __init__(self) -> None:
        self._routers: dict[str, Router] = {}
        self._closed: set[str] = set()
        self._ending = False
        self._turn = asyncio.Lock()  # a pool that is being closed is not joined
        self._threads = ThreadPoolExecutor(THREADS)
        self._restarted = ray.get_runtime_context().was_current_actor_reconstructed
        most_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))  # the connections of all models

    async def identify(self) -> tuple[int, str]:
        """Return the process id, and Ray's id of the node."""
        return os.getpid(), ray.get_runtime_context().get_node_id()

    async def heartbeat(self) -> tuple[int, float]:
        """Return no progress and no CPU seconds: the process is only asked whether it answers."""
        return 0, 0.0

    async def attach(self, pool_spec: PoolSpec, shared: bool, driver: str) -> bool:
        """Open a pool, or join it. Return False if this process is ending."""
        async with self._turn:
            if self._ending:
                return False
            asyncio.get_running_loop().set_default_executor(self._threads)
            self._closed.discard(pool_spec.name)
            await self._router(pool_spec, shared).attach(driver)
            return True

    async def call(self, pool_spec: PoolSpec, shared: bool, method: str, *arguments: Any) -> Any:
        """Call a method of a pool's router.

        Raises:
            PoolClosed: The pool has been closed.
        """
        if self._ending or pool_spec.name in self._closed:
            raise PoolClosed(pool_spec.name)
        if method == "close":
            return await self._close(pool_spec.name, *arguments)
        return await getattr(self._router(pool_spec, shared), method)(*arguments)

    async def _close(self, name: str, driver: str) -> None:
        async with self._turn:
            router = self._routers.get(name)
            if router is None or await router.close(driver):
                self._remove(name)

    def _router(self, pool_spec: PoolSpec, shared: bool) -> Router:
        name = pool_spec.name
        if name not in self._routers:
            self._routers[name] = Router(pool_spec, (), shared, lambda: self._remove(name))
            if self._restarted:
                self._restarted = False
                self._routers[name].emit_event("the process of all models on servers crashed; it was started again")
        return self._routers[name]

    def _remove(self, name: str) -> None:
        self._closed.add(name)
        self._routers.pop(name, None)
        if not self._routers:
            self._ending = True
            actor = ray.get_runtime_context().current_actor
            asyncio.get_running_loop().call_later(END_DELAY_SECONDS, ray.kill, actor)


@dataclass(frozen=True, slots=True)
class _Method:
    """A method of one pool's router that is called as an actor's is, with `remote`."""

    router: HostedRouter
    name: str

    def remote(self, *arguments: Any) -> Any:
        """Start the method and return the reference to its result."""
        return self.router.host.call.remote(self.router.pool_spec, self.router.shared, self.name, *arguments)


@dataclass(frozen=True, slots=True)
class HostedRouter:
    """Stands for the actor of a pool's router, which runs in the process `host`. Picklable."""

    host: Any
    pool_spec: PoolSpec
    shared: bool

    def __getattr__(self, name: str) -> _Method:
        if name.startswith("_"):
            raise AttributeError(name)
        return _Method(self, name)


def join_host(pool_spec: PoolSpec, shared: bool, driver: str) -> HostedRouter:
    """Open or join a pool in the process `pool_spec.host`, which is started if it is not running.

    Raises:
        EngineLost: The process cannot be started.
    """
    deadline = time.monotonic() + JOIN_TIMEOUT
    while (remaining := deadline - time.monotonic()) > 0:
        router = HostedRouter(_host(pool_spec.host, shared), pool_spec, shared)
        try:
            if ray.get(router.host.attach.remote(pool_spec, shared, driver), timeout=remaining):
                _watch(router.host, pool_spec)
                return router
        except (RayActorError, GetTimeoutError):
            pass  # it has stopped in the meantime, or Ray is starting it again
        time.sleep(JOIN_RETRY_SECONDS)
    raise EngineLost(pool_spec.spec.model, f"the process of the models on servers did not start in {JOIN_TIMEOUT:g} s")


def _host(name: str, shared: bool) -> Any:
    with _start_lock:
        try:
            return ray.get_actor(name, namespace=NAMESPACE)
        except ValueError:
            actor: Any = ray.remote(RemoteModels)
            _started[name] = actor.options(
                name=name,
                namespace=NAMESPACE,
                get_if_exists=shared,
                lifetime="detached" if shared else None,
                num_cpus=0,
                max_restarts=-1,
                max_concurrency=ROUTER_CONCURRENCY,
                scheduling_strategy=NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True),
            ).remote()
            return _started[name]


def _watch(host: Any, pool_spec: PoolSpec) -> None:
    """Watch a process in a thread of this one, unless it is watched already."""
    actor_id = host._actor_id.hex()
    with _start_lock:
        if actor_id in _watched:
            return
        _watched.add(actor_id)
    BackgroundWork(lambda: _watch_process(host, pool_spec), f"watch {pool_spec.host}")


async def _watch_process(host: Any, pool_spec: PoolSpec) -> None:
    """Kill the process whenever it is stopped, so that Ray starts it again; return when it has stopped for good."""
    limits = pool_spec.heartbeat_timeout, pool_spec.stall_timeout
    while ray.is_initialized():
        with contextlib.suppress(RayError, TimeoutError, AttributeError):  # AttributeError: Ray is being shut down
            if not _is_running(host, pool_spec.host):
                return
            pid, node = await asyncio.wait_for(await_ref(host.identify.remote()), pool_spec.heartbeat_timeout)
            await Watchdog(host, node, pid, *limits).watch(lambda: Work(0, None))
            kill_process(node, pid)
        await asyncio.sleep(RESTART_SECONDS)


def _is_running(host: Any, name: str) -> bool:
    """Return whether Ray runs the process, or is starting it again."""
    try:
        present: Any = ray.get_actor(name, namespace=NAMESPACE)
    except ValueError:
        return False
    return present._actor_id == host._actor_id
