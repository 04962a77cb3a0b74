"""All replicas of one model, as the driver sees them."""

from __future__ import annotations

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
from actors.serving.replica_handle import NAMESPACE
from actors.serving.reservation import Reservation
from actors.serving.router import LEASE_SECONDS, Router
from actors.serving.spec import PoolSpec, PoolStats

ROUTER_CONCURRENCY = 10_000
POOL_CLOSE_TIMEOUT = 15.0
READY_POLL_SECONDS = 5.0  # of one look whether replicas are ready


class Pool:
    """The router of one model, a named actor, and through it the replicas `NAME/0`, `NAME/1`...

    It ends with the driver or with `close`. A `shared` one is joined by every driver that opens the same name, and
    ends with the last of them. `berths` are the driver's, for the first replicas; others get their own.
    """

    def __init__(self, pool_spec: PoolSpec, shared: bool = False, reservations: Sequence[Reservation] = ()) -> None:
        self.pool_spec = pool_spec
        self._driver = uuid.uuid4().hex
        self._closed = threading.Event()
        driver_node = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        actor: Any = ray.remote(Router)
        self._router: Any = actor.options(
            name=pool_spec.name,
            namespace=NAMESPACE,
            get_if_exists=shared,
            lifetime="detached" if shared else None,
            num_cpus=0,
            max_restarts=-1,
            max_concurrency=ROUTER_CONCURRENCY,
            scheduling_strategy=driver_node,
        ).remote(pool_spec, tuple(reservations), shared)
        self._router.attach.remote(self._driver)
        if shared:
            threading.Thread(target=self._renew_lease_loop, daemon=True).start()

    def wait_until_ready(self, timeout: float = 600, waited: float = 0) -> None:
        """Wait until the least number of replicas have loaded the model, or one at least when time is up.

        LoadError if it can not be loaded, or if there is none after `timeout` seconds, of which `waited` have passed;
        this ends the pool.
        """
        deadline = time.monotonic() + timeout - waited
        while True:
            count, missing, failure = self._poll_ready(deadline)
            if failure is not None:
                raise failure
            if not missing:
                return
            if time.monotonic() > deadline:
                break
        if not count:
            free = {name: ray.available_resources().get(name, 0) for name in ("CPU", "GPU")}
            resources = f"{self.pool_spec.resources.cpus:g} CPUs and {self.pool_spec.resources.gpus:g} GPUs"
            self.close()  # or it would be asked for as long as the driver lives
            detail = (
                f"not ready after {timeout:g} s; each of {self.pool_spec.min_replicas} replicas asks for {resources}"
            )
            raise LoadError(self.pool_spec.spec.model, f"{detail}, free now: {free}")

    def swap_model(self, spec: EngineSpec) -> None:
        """Put another model in the same processes, once nothing is open; errors as of `wait_until_ready`."""
        self.pool_spec = replace(self.pool_spec, spec=spec)
        failure: LoadError | EngineLost | None = self._call_router("swap_model", spec)
        if failure is not None:
            raise failure

    def client(self) -> EngineClient:
        """A client for the present model, to be used here or sent to workers."""
        window = 2 * self.pool_spec.max_ongoing_requests * max(self.pool_spec.max_replicas, 1)
        return EngineClient(Connection(self._router, self.pool_spec.spec), window)

    def scale_up(self) -> None:
        """Work is coming: bring the least number of replicas back."""
        self._call_router("attach", self._driver)

    def scale_to_zero(self) -> None:
        """No more work is coming: idle replicas give their CPUs and GPUs back."""
        self._router.scale_to_zero.remote()

    def sleep(self) -> None:
        """Take the model off its devices, weights in host memory; its berths may be used until `wake`."""
        self._call_router("sleep")

    def wake(self) -> None:
        """Bring the model back to its berths, which must be free again."""
        self._call_router("wake")

    def stats(self, timeout: float | None = None) -> PoolStats:
        """What the pool is doing and has done. GetTimeoutError if it does not say so in `timeout` seconds."""
        return self._call_router("stats", timeout=timeout)

    def close(self) -> None:
        """Free the model, end its processes, and give CPUs and GPUs back, unless another driver uses the pool."""
        if self._closed.is_set():
            return
        self._closed.set()
        last = True
        with contextlib.suppress(GetTimeoutError, RayActorError):
            last = ray.get(self._router.close.remote(self._driver), timeout=POOL_CLOSE_TIMEOUT)
        if last:
            ray.kill(self._router)

    def _call_router(self, method: str, *arguments: Any, timeout: float | None = None) -> Any:
        """What the router answers. One that was killed starts again and is asked again; EngineLost if it does not."""
        if self._closed.is_set():
            raise EngineLost(self.pool_spec.spec.model, "its pool is closed")
        for attempt in range(ROUTER_RETRIES + 1):
            try:
                return ray.get(getattr(self._router, method).remote(*arguments), timeout=timeout)
            except RayActorError as error:
                if attempt == ROUTER_RETRIES or not ray.is_initialized():
                    raise EngineLost(self.pool_spec.spec.model, "its router is gone") from error
                time.sleep(ROUTER_RETRY_SECONDS)
        raise AssertionError("unreachable")

    def _poll_ready(self, deadline: float) -> tuple[int, int, LoadError | EngineLost | None]:
        remaining = max(0.1, deadline - time.monotonic())
        with contextlib.suppress(GetTimeoutError):
            try:
                return ray.get(
                    self._router.wait_until_ready.remote(min(remaining, READY_POLL_SECONDS)),
                    timeout=remaining + READY_POLL_SECONDS,
                )
            except RayActorError:
                time.sleep(ROUTER_RETRY_SECONDS)  # it starts again
        return 0, self.pool_spec.min_replicas, None

    def _renew_lease_loop(self) -> None:
        while not self._closed.wait(LEASE_SECONDS / 4):
            if not ray.is_initialized():
                return
            self._router.renew_lease.remote(self._driver)
