"""The driver's handle to all replicas of one model: start, swap, offload, query and close them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.engine import EngineLost, EngineSpec, LoadError
from actors.serving.client import ROUTER_RETRIES, ROUTER_RETRY_SECONDS, Connection, EngineClient
from actors.serving.remote_models import join_host
from actors.serving.replica_handle import NAMESPACE
from actors.serving.reservation import Reservation
from actors.serving.router import LEASE_SECONDS, ROUTER_CONCURRENCY, Router
from actors.serving.spec import PoolClosed, PoolSpec, PoolStats, Readiness
from cluster.connection.background import BackgroundWork

POOL_CLOSE_TIMEOUT = 15.0
READY_POLL_SECONDS = 5.0  # the longest wait of one call for ready replicas


class Pool:
    """The router of one model (a named actor) and its replicas `NAME/0`, `NAME/1`...

    The pool stops when the driver exits or calls `close`. A shared pool is used by every driver that opens the same
    name, and stops when the last of them has closed it. With `pool_spec.host`, router and replicas run in the process
    of that name, beside those of other pools.
    """

    def __init__(self, pool_spec: PoolSpec, shared: bool = False, reservations: Sequence[Reservation] = ()) -> None:
        """Start the pool, or join it if it is `shared` and running.

        Args:
            pool_spec: The model and the size of the pool.
            shared: Whether other drivers may use the pool.
            reservations: Reservations of the driver for the first replicas. The driver releases them. Further replicas
                reserve their own resources.

        Raises:
            EngineLost: The process that serves several pools cannot be started.
        """
        self.pool_spec = pool_spec
        self._driver = uuid.uuid4().hex
        self._closed = threading.Event()
        if pool_spec.host:
            self._router: Any = join_host(pool_spec, shared, self._driver)
        else:
            self._router = self._start_router(shared, reservations)
            self._router.attach.remote(self._driver)
        self._lease = BackgroundWork(self._renew_lease, f"lease of {pool_spec.name}") if shared else None

    def wait_until_ready(self, timeout: float = 600, waited: float = 0) -> None:
        """Wait until `min_replicas` replicas have loaded the model. At the timeout, a single ready replica is enough.

        A replica that is loading at the timeout is waited for: loading has another limit, and may be slow.

        Args:
            timeout: Seconds to wait.
            waited: Seconds of `timeout` that have already passed.

        Raises:
            LoadError: The model cannot be loaded, or no replica was ready or loading in time. In the latter case the
                pool is closed.
            EngineLost: The pool's processes crash repeatedly.
        """
        deadline = time.monotonic() + timeout - waited
        while True:
            now = self._poll_ready(deadline)
            if now.failure is not None:
                raise now.failure
            if not now.missing:
                return
            if time.monotonic() > deadline and (now.ready or not now.loading):
                break
        if not now.ready:
            free = {name: ray.available_resources().get(name, 0) for name in ("CPU", "GPU")}
            resources = f"{self.pool_spec.resources.cpus:g} CPUs and {self.pool_spec.resources.gpus:g} GPUs"
            self.close()  # otherwise the autoscaler would see this demand until the driver exits
            detail = f"not ready after {timeout:g} s; each of {self.pool_spec.min_replicas} replicas needs {resources}"
            raise LoadError(self.pool_spec.spec.model, f"{detail}, free now: {free}")

    def swap_model(self, spec: EngineSpec) -> None:
        """Load another model in the same processes, once no request is open.

        Raises:
            LoadError: The model cannot be loaded.
            EngineLost: The pool's processes crash repeatedly, or the pool is closed.
        """
        self.pool_spec = replace(self.pool_spec, spec=spec)
        failure: LoadError | EngineLost | None = self._call_router("swap_model", spec)
        if failure is not None:
            raise failure

    def client(self) -> EngineClient:
        """Return a client for the current model. It can be used in this process or sent to workers."""
        window = 2 * self.pool_spec.max_ongoing_requests * max(self.pool_spec.max_replicas, 1)
        return EngineClient(Connection(self._router, self.pool_spec.spec), window)

    def scale_up(self) -> None:
        """Start replicas again, up to at least `min_replicas`, because requests will follow."""
        self._call_router("attach", self._driver)

    def scale_to_zero(self) -> None:
        """Let idle replicas release their CPUs and GPUs, because no requests will follow."""
        self._router.scale_to_zero.remote()

    def sleep(self) -> None:
        """Offload the model's weights to host memory. Other pools may use its reservations until `wake`."""
        self._call_router("sleep")

    def wake(self) -> None:
        """Load the offloaded model back onto the devices of its reservations, which must be free again."""
        self._call_router("wake")

    def stats(self, timeout: float | None = None) -> PoolStats:
        """Return the pool's current state and its statistics.

        Raises:
            GetTimeoutError: The router did not answer within `timeout` seconds.
            EngineLost: The router has crashed, or the pool is closed.
        """
        return self._call_router("stats", timeout=timeout)

    def close(self) -> None:
        """Unload the model, stop its processes and release its CPUs and GPUs, unless another driver uses the pool."""
        if self._closed.is_set():
            return
        self._closed.set()
        if self._lease:
            self._lease.stop()
        last = True
        with contextlib.suppress(GetTimeoutError, RayActorError, PoolClosed):
            last = ray.get(self._router.close.remote(self._driver), timeout=POOL_CLOSE_TIMEOUT)
        if last and not self.pool_spec.host:
            ray.kill(self._router)

    def _start_router(self, shared: bool, reservations: Sequence[Reservation]) -> Any:
        driver_node = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        actor: Any = ray.remote(Router)
        return actor.options(
            name=self.pool_spec.name,
            namespace=NAMESPACE,
            get_if_exists=shared,
            lifetime="detached" if shared else None,
            num_cpus=0,
            max_restarts=-1,
            max_concurrency=ROUTER_CONCURRENCY,
            scheduling_strategy=driver_node,
        ).remote(self.pool_spec, tuple(reservations), shared)

    def _call_router(self, method: str, *arguments: Any, timeout: float | None = None) -> Any:
        """Call a method of the router and return its result. Retries while Ray restarts a crashed router.

        Raises:
            EngineLost: The pool is closed, or the router did not restart.
        """
        if self._closed.is_set():
            raise EngineLost(self.pool_spec.spec.model, "its pool is closed")
        for attempt in range(ROUTER_RETRIES + 1):
            try:
                return ray.get(getattr(self._router, method).remote(*arguments), timeout=timeout)
            except RayActorError as error:
                if attempt == ROUTER_RETRIES or not ray.is_initialized():
                    raise EngineLost(self.pool_spec.spec.model, "its router has crashed") from error
                time.sleep(ROUTER_RETRY_SECONDS)
            except PoolClosed as error:
                raise EngineLost(self.pool_spec.spec.model, "its pool is closed") from error
        raise AssertionError("unreachable")

    def _poll_ready(self, deadline: float) -> Readiness:
        remaining = max(0.1, deadline - time.monotonic())
        with contextlib.suppress(GetTimeoutError):
            try:
                return ray.get(
                    self._router.wait_until_ready.remote(min(remaining, READY_POLL_SECONDS)),
                    timeout=remaining + READY_POLL_SECONDS,
                )
            except RayActorError:
                time.sleep(ROUTER_RETRY_SECONDS)  # Ray restarts the router
        return Readiness(0, self.pool_spec.min_replicas, 0, None)

    async def _renew_lease(self) -> None:
        while True:
            await asyncio.sleep(LEASE_SECONDS / 4)
            if not ray.is_initialized():
                return
            self._router.renew_lease.remote(self._driver)
