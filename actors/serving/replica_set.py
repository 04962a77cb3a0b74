"""The replicas of one model: autoscaling, restarts after crashes, and failures to load."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Sequence
from dataclasses import replace

from actors.engine import EngineLost, EngineSpec, LoadError
from actors.serving.hosted_replica import HostedReplica
from actors.serving.replica_handle import ReplicaDied, ReplicaHandle
from actors.serving.request_queue import RequestQueue
from actors.serving.reservation import Reservation
from actors.serving.spec import PoolEvent, PoolSpec, ReplicaStats
from cluster.resources.draining import draining

AUTOSCALE_SECONDS = 1.0
IDLE_TIMEOUT = 10.0  # seconds before a surplus replica is stopped
MAX_LOAD_CRASHES = 3  # consecutive crashes while loading after which the model has failed
MAX_CRASHES = 16  # consecutive crashes without an answer; finding a poisonous request takes fewer
RESTART_BACKOFF = (0.0, 0.0, 1.0, 2.0, 4.0)  # seconds before a start, by the number of consecutive crashes
MAX_EVENTS = 100
DRAIN_POLL_SECONDS = 2.0  # between two checks for draining nodes


class ReplicaSet:
    """Runs between `min_replicas` and `max_replicas` replicas, depending on the length of the queue."""

    def __init__(self, pool_spec: PoolSpec, queue: RequestQueue, reservations: Sequence[Reservation]) -> None:
        self.pool_spec, self.queue = pool_spec, queue
        self.replicas: list[ReplicaHandle] = []
        self.retired_stats = ReplicaStats()  # of removed replicas
        self.events: list[PoolEvent] = []
        self.readiness_changed = asyncio.Event()  # set whenever `ready_replicas` or `missing_replicas` changes
        self._driver_reservations = list(reservations)  # for the first replicas
        self._tasks: dict[ReplicaHandle, asyncio.Task[None]] = {}
        self._load_crashes = self._crashes = self._next_replica_number = 0
        self._last_event_number = time.time_ns()  # higher than those before a restart of the router
        self._answered_at_crash = 0
        self._closing = False
        self._awake = asyncio.Event()
        self._awake.set()
        self._min_replicas, self._max_replicas = (
            pool_spec.min_replicas,
            pool_spec.max_replicas,
        )  # lower after `scale_to_zero`, or where replicas were abandoned
        self._idle_since = time.monotonic()
        self._set_size(pool_spec.min_replicas)
        self._background_tasks = [asyncio.create_task(self._autoscale())]
        if not pool_spec.host:  # otherwise the replicas cannot leave the process, nor its node
            self._background_tasks.append(asyncio.create_task(self._drain_nodes()))

    @property
    def ready_replicas(self) -> int:
        """The number of replicas with a loaded model."""
        return sum(replica.state == "ready" for replica in self.replicas)

    @property
    def in_flight(self) -> int:
        """The number of requests at replicas."""
        return sum(len(replica.in_flight) for replica in self.replicas)

    @property
    def missing_replicas(self) -> int:
        """How many of the `min_replicas` replicas are not ready yet."""
        return max(0, min(self.pool_spec.min_replicas, self._max_replicas) - self.ready_replicas)

    def scale_up(self) -> None:
        """Run at least `min_replicas` replicas again, because requests will follow."""
        self._min_replicas, self._max_replicas = self.pool_spec.min_replicas, self.pool_spec.max_replicas
        self._set_size(max(self._min_replicas, sum(not replica.retiring for replica in self.replicas)))

    def scale_to_zero(self) -> None:
        """Let all idle replicas stop, because no requests are expected. Requests that arrive anyway start new ones."""
        self._min_replicas = 0
        self._idle_since = -math.inf

    async def swap_model(self, spec: EngineSpec) -> None:
        """Load another model in the same processes. No request may be in flight."""
        self.pool_spec = replace(self.pool_spec, spec=spec)
        self.queue.reset(spec.model)
        self._load_crashes = self._crashes = 0
        for replica in self._unready_replicas():
            self._retire(replica)  # it may be loading the previous model
        loaded = [replica for replica in self.replicas if not replica.retiring]
        await asyncio.gather(*(self._swap_model_of(replica) for replica in loaded))
        self._set_size(max(self._min_replicas, len(loaded)))

    async def sleep(self) -> None:
        """Offload all models to host memory. Other pools may use the driver's reservations until `wake`."""
        self._awake.clear()
        # a replica's own reservation would stay allocated but unused, and replicas that are still loading are no longer
        # needed
        own = [replica for replica in self.replicas if not replica.uses_driver_reservation and not replica.retiring]
        for replica in {*own, *self._unready_replicas()}:
            self._retire(replica)
        leaving = [task for replica, task in self._tasks.items() if replica.retiring]
        await asyncio.gather(*(replica.sleep() for replica in self.replicas if not replica.retiring))
        await asyncio.gather(*leaving, return_exceptions=True)

    async def wake(self) -> None:
        """Load the offloaded models back onto the devices of their reservations."""
        for replica in self.replicas:
            if replica.state == "asleep":
                await replica.wake()
        self._awake.set()

    async def close(self) -> None:
        """Stop all replicas."""
        self._closing = True
        for task in (*self._background_tasks, *self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await asyncio.gather(*(replica.stop() for replica in self.replicas))
        self.replicas.clear()

    def total_stats(self) -> ReplicaStats:
        """Return the sum of all replicas' statistics, including removed ones."""
        total = self.retired_stats
        for replica in self.replicas:
            total = _add_stats(total, replica.stats)
        return total

    def emit_event(self, text: str) -> None:
        """Append an event, and drop the oldest beyond `MAX_EVENTS`."""
        self._last_event_number += 1
        self.events = [*self.events, PoolEvent(self._last_event_number, text)][-MAX_EVENTS:]

    def free_slots(self, replica: ReplicaHandle) -> int:
        """Return how many more requests a replica may take: up to its fair share, at most `max_ongoing_requests`."""
        ready_count = max(1, self.ready_replicas)
        fair_share = math.ceil((self.queue.queued + self.in_flight) / ready_count)
        return max(0, min(self.pool_spec.max_ongoing_requests, fair_share) - len(replica.in_flight))

    async def _swap_model_of(self, replica: ReplicaHandle) -> None:
        try:
            with contextlib.suppress(ReplicaDied):  # its watchdog notices, too, and it restarts with the new model
                await replica.load(self.pool_spec.spec)
        except LoadError as error:
            self.queue.fail_all(error)

    def _unready_replicas(self) -> list[ReplicaHandle]:
        return [replica for replica in self.replicas if replica.state != "ready" and not replica.retiring]

    def _set_size(self, size: int) -> None:
        active = [replica for replica in self.replicas if not replica.retiring]
        for _ in range(size - len(active)):
            self._add()
        for replica in sorted(active, key=lambda replica: (replica.state == "ready", len(replica.in_flight)))[
            : len(active) - size
        ]:
            self._retire(replica)

    def _add(self) -> None:
        reservation = self._driver_reservations.pop() if self._driver_reservations else None
        kind = HostedReplica if self.pool_spec.host else ReplicaHandle
        replica = kind(
            self._next_replica_number,
            self.pool_spec,
            self.queue,
            reservation,
            self.free_slots,
            lambda notice: self.emit_event(f"{self.queue.model}: {notice}"),
        )
        self._next_replica_number += 1
        self.replicas.append(replica)
        self._tasks[replica] = asyncio.create_task(self._supervise(replica))

    def _retire(self, replica: ReplicaHandle) -> None:
        replica.retiring = True
        replica.wakeup.set()
        if replica.state != "ready":
            self._tasks[replica].cancel()

    async def _supervise(self, replica: ReplicaHandle) -> None:
        """Supervise one replica: restart it after every crash until it is retired or the model fails permanently."""
        try:
            while not replica.retiring and not self.queue.failure:
                await self._awake.wait()
                await asyncio.sleep(RESTART_BACKOFF[min(self._crashes + self._load_crashes, len(RESTART_BACKOFF) - 1)])
                await self._run_once(replica)
        finally:
            if self._tasks.pop(replica, None):
                await self._remove(replica)
            self.readiness_changed.set()

    async def _remove(self, replica: ReplicaHandle) -> None:
        """Stop a replica, and requeue what an unexpected error left in flight. Keep a reservation of the driver."""
        replica.retiring = True
        returned = [replica.reservation] if replica.reservation is not None and replica.uses_driver_reservation else []
        self.queue.requeue(replica.in_flight.values())
        await asyncio.shield(replica.stop())
        self._driver_reservations += returned
        pending_replica = next(
            (each for each in self.replicas if each.state == "waiting" and not each.uses_driver_reservation), None
        )
        if (
            returned and pending_replica and not (pending_replica.retiring or self._closing)
        ):  # it is waiting for resources that the returned reservation already holds
            self._retire(pending_replica)
            self._add()
        self.retired_stats = _add_stats(self.retired_stats, replica.stats)
        self.replicas.remove(replica)

    async def _run_once(self, replica: ReplicaHandle) -> None:
        """Start a replica and serve until it crashes or is retired."""
        try:
            await replica.start(self.pool_spec.spec)
            self._load_crashes = 0
            self.readiness_changed.set()
            self.queue.notify_all()  # the replicas' fair shares have changed
            await replica.serve()
        except LoadError as error:
            self._on_load_error(replica, error)
        except ReplicaDied as death:
            self._on_death(replica, death)

    def _on_load_error(self, replica: ReplicaHandle, error: LoadError) -> None:
        """Abandon this replica if others are ready (its node may be faulty); otherwise the model has failed."""
        replica.retiring = True
        if any(other.state == "ready" for other in self.replicas if other is not replica):
            self._max_replicas = max(1, sum(not other.retiring for other in self.replicas))
            self.emit_event(f"a replica of {self.queue.model} failed permanently: {error.detail}")
        else:
            self.queue.fail_all(error)

    def _on_death(self, replica: ReplicaHandle, death: ReplicaDied) -> None:
        model, loading = self.queue.model, replica.state in ("waiting", "loading")
        replica.stats.crashes += 1
        replica.state = "waiting"
        isolated = replica.isolated
        in_flight = replica.take_in_flight()
        self.queue.replica_died(in_flight, isolated)
        if loading:
            self._load_crashes += 1
        self._crashes = self._crashes + 1 if self.queue.answered_count == self._answered_at_crash else 1
        self._answered_at_crash = self.queue.answered_count
        again = f"; requests to repeat: {len(in_flight)}" if in_flight else ""
        self.emit_event(f"a replica of {model} crashed; restarting: {death}{again}")
        if self._load_crashes >= MAX_LOAD_CRASHES and not self.ready_replicas:
            detail = f"its process crashed {MAX_LOAD_CRASHES} times while loading: {death}"
            self.queue.fail_all(LoadError(model, detail))
        elif self._crashes > MAX_CRASHES:
            self.queue.fail_all(
                EngineLost(model, f"its processes crashed {self._crashes} times without an answer: {death}")
            )

    async def _drain_nodes(self) -> None:
        """Drain replicas on nodes that are being preempted, and start replacements on other nodes."""
        while True:
            await asyncio.sleep(DRAIN_POLL_SECONDS)
            draining_nodes = await asyncio.to_thread(draining)
            for replica in [
                replica for replica in self.replicas if replica.node in draining_nodes and replica.state == "ready"
            ]:
                if not replica.retiring:
                    self.emit_event(f"draining a replica of {self.queue.model}: its node is being preempted")
                    replica.uses_driver_reservation = False  # no other replica may use a reservation on this node
                    self._retire(replica)
                    self._add()

    async def _autoscale(self) -> None:
        while True:
            await asyncio.sleep(AUTOSCALE_SECONDS)
            self.queue.expire_clients()
            if self.queue.failure or not self._awake.is_set():
                continue
            active = sum(not replica.retiring for replica in self.replicas)
            desired = desired_replicas(
                self.queue.queued + self.in_flight,
                self.pool_spec.max_ongoing_requests,
                self._min_replicas,
                self._max_replicas,
            )
            now = time.monotonic()
            if desired >= active:
                self._idle_since = now if self._min_replicas else -math.inf
            if desired > active or (desired < active and now - self._idle_since > IDLE_TIMEOUT):
                self._set_size(desired)


def desired_replicas(open_requests: int, max_ongoing_requests: int, min_replicas: int, max_replicas: int) -> int:
    """Return how many replicas serve `open_requests` with up to `max_ongoing_requests` each, within the bounds."""
    return min(max_replicas, max(min_replicas, math.ceil(open_requests / max_ongoing_requests)))


def _add_stats(one: ReplicaStats, other: ReplicaStats) -> ReplicaStats:
    return ReplicaStats(
        one.requests + other.requests,
        one.tokens_in + other.tokens_in,
        one.tokens_out + other.tokens_out,
        one.busy_seconds + other.busy_seconds,
        one.loads + other.loads,
        one.crashes + other.crashes,
        other.pid or one.pid,
        one.retries + other.retries,
        one.replies + other.replies,
        one.cut + other.cut,
    )
