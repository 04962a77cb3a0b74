"""The actor that takes requests from clients and dispatches them to a pool's replicas. Each pool has one router."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Hashable, Sequence

import ray

from actors.engine import Answer, EngineLost, EngineSpec, Feature, LoadError, Request
from actors.serving.replica_set import ReplicaSet
from actors.serving.request_queue import RequestQueue
from actors.serving.reservation import Reservation, remove_stale_groups
from actors.serving.spec import ClientId, PoolSpec, PoolStats, Readiness

ROUTER_CONCURRENCY = 10_000  # open calls of one actor
LEASE_SECONDS = 60.0  # a shared pool stops when no driver has renewed its lease for this time


def _end_actor() -> None:
    ray.kill(ray.get_runtime_context().current_actor)


class Router:
    """Takes requests from any number of clients, serves clients in round-robin order, answers each request once."""

    def __init__(
        self,
        pool_spec: PoolSpec,
        reservations: Sequence[Reservation],
        leased: bool,
        on_expired: Callable[[], None] = _end_actor,
    ) -> None:
        """Create a router without replicas.

        Args:
            pool_spec: The model and the size of the pool.
            reservations: Reservations of the driver for the first replicas.
            leased: Whether several drivers may use the pool, which then expires if none of them renews its lease.
            on_expired: Called when the pool has expired and its replicas are stopped.
        """
        self._queue = RequestQueue(pool_spec.spec.model)
        self._pool_spec, self._reservations = pool_spec, reservations
        self._replica_set: ReplicaSet | None = None
        self._leases: dict[str, float] = {}
        self._leased, self._on_expired = leased, on_expired
        self._lease_task: asyncio.Task[None] | None = None
        self._swap_lock = asyncio.Lock()

    async def attach(self, driver: str) -> None:
        """Start the replicas if none are running, and record that `driver` uses them."""
        self._leases[driver] = time.monotonic()
        self._ensure_running().scale_up()

    async def submit(
        self, client_id: ClientId, spec: EngineSpec, requests: Sequence[tuple[int, Hashable, Request]]
    ) -> None:
        """Queue requests, given as (number, queue name, request), for the model `spec`. Numbers are the client's own.

        If another model is loaded, `spec` is swapped in first: a restarted router only knows the pool's first model.
        """
        while spec != self._ensure_running().pool_spec.spec:
            await self.swap_model(spec)
        self._queue.submit(client_id, requests)

    async def collect(self, client_id: ClientId) -> list[tuple[int, Answer]] | None:
        """Wait for answers and return them with the client's request numbers. Empty if none arrived in some seconds.

        Returns None if the client has expired and must submit its open requests again.
        """
        return await self._queue.collect(client_id)

    async def wait_until_ready(self, seconds: float) -> Readiness:
        """Wait up to `seconds` until replicas or the permanent failure of the model can be reported; report them."""
        replica_set = self._ensure_running()
        if replica_set.missing_replicas and not self._queue.failure:
            replica_set.readiness_changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(replica_set.readiness_changed.wait(), seconds)
        loading = sum(replica.state == "loading" for replica in replica_set.replicas)
        return Readiness(replica_set.ready_replicas, replica_set.missing_replicas, loading, self._queue.failure)

    async def swap_model(self, spec: EngineSpec) -> LoadError | EngineLost | None:
        """Load another model into the replicas, once no request is open. Return the permanent failure, if any."""
        async with self._swap_lock:
            replica_set = self._ensure_running()
            while self._queue.queued or replica_set.in_flight:
                await asyncio.sleep(0.05)
            await replica_set.swap_model(spec)
        return self._queue.failure

    async def scale_to_zero(self) -> None:
        """Stop idle replicas."""
        self._ensure_running().scale_to_zero()

    async def sleep(self) -> None:
        """Offload the replicas' models to host memory."""
        await self._ensure_running().sleep()

    async def wake(self) -> None:
        """Load the offloaded models back onto the devices of their reservations."""
        await self._ensure_running().wake()

    async def stats(self) -> PoolStats:
        """Return the pool's current state and its statistics."""
        replica_set = self._ensure_running()
        loaded = [replica for replica in replica_set.replicas if replica.state in ("ready", "asleep")]
        pids = tuple(replica.stats.pid for replica in loaded)
        features = loaded[0].features if loaded else frozenset[Feature]()
        events, poisoned = tuple(replica_set.events), tuple(self._queue.poisoned)
        waits = self._queue.queued, replica_set.in_flight
        return PoolStats(
            pids,
            len(replica_set.replicas),
            *waits,
            replica_set.total_stats(),
            features,
            poisoned,
            events,
            self._queue.retried,
        )

    def emit_event(self, text: str) -> None:
        """Record an event to report to users."""
        self._ensure_running().emit_event(text)

    async def renew_lease(self, driver: str) -> None:
        """Record that `driver` still uses the pool."""
        self._leases[driver] = time.monotonic()

    async def close(self, driver: str) -> bool:
        """Release one driver's lease. The last release stops all replicas; return True if the router can stop, too."""
        self._leases.pop(driver, None)
        leases_lost = self._leased and ray.get_runtime_context().was_current_actor_reconstructed
        if self._leases or leases_lost:  # a restarted router does not know all leases, so it waits until they expire
            return False
        if self._lease_task is not None:
            self._lease_task.cancel()
        if self._replica_set is not None:
            await self._replica_set.close()
        return True

    async def _expire_leases(self) -> None:
        while True:
            await asyncio.sleep(LEASE_SECONDS / 4)
            now = time.monotonic()
            self._leases = {name: renewed for name, renewed in self._leases.items() if now - renewed < LEASE_SECONDS}
            if not self._leases:
                await self._ensure_running().close()
                self._on_expired()
                return

    def _ensure_running(self) -> ReplicaSet:
        """Return the replica set. Create it at the first call, also after a restart of the router."""
        if self._replica_set is None:
            if not self._pool_spec.host:
                remove_stale_groups(self._pool_spec.name)
            self._replica_set = ReplicaSet(self._pool_spec, self._queue, self._reservations)
            if self._leased:
                self._lease_task = asyncio.create_task(self._expire_leases())
        return self._replica_set
