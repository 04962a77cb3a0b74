"""The router's handle to one replica: starts it in its reservation, sends requests, monitors and stops it."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable
from typing import Any, Literal

import ray
from ray.exceptions import RayActorError, RayError

from actors.engine import Answer, Classification, EngineSpec, Feature, GenerateRequest, Generation, LoadError, Request
from actors.serving.liveness.watchdog import Watchdog, Work, await_ref, load_watched
from actors.serving.replica import Replica
from actors.serving.request_queue import RequestQueue
from actors.serving.reservation import Reservation, reserve
from actors.serving.spec import PoolSpec, QueuedRequest, ReplicaStats
from cluster.processes import kill_process

NAMESPACE = "evolgrid-engines"
BATCHING_WINDOW_SECONDS = 0.002  # requests that arrive within it are sent in one call
MAX_TOKENS_OF_LABELS = 16  # replies with such a limit, such as a judge's label, are meant to be cut off
REPLICA_CLOSE_TIMEOUT = 10.0  # for unloading the model before the process is killed
CONNECTION_CLOSED = "Worker unexpectedly exits with a connection error"  # all that Ray knows of most crashes
_IDENTIFIERS = ("class_name:", "actor_id:", "namespace:", "name:", "pid:", "ip:")


class ReplicaDied(Exception):
    """A replica's process has exited or hangs."""


class ReplicaHandle:
    """One replica and its current process, if any.

    `state` is "waiting" (for its reservation), "loading", "ready", or "asleep" (another model may use the reservation).
    """

    def __init__(
        self,
        number: int,
        pool_spec: PoolSpec,
        queue: RequestQueue,
        reservation: Reservation | None,
        free_slots: Callable[[ReplicaHandle], int],
        notify: Callable[[str], None],
    ) -> None:
        """Create a handle without a process.

        Args:
            number: The replica's number in its pool.
            pool_spec: The pool's configuration.
            queue: The queue to take requests from.
            reservation: A reservation of the driver, or None to create one at the start.
            free_slots: Returns how many more requests the replica may take now.
            notify: Takes what users should know about the model's server.
        """
        self.number, self.pool_spec, self.queue, self.reservation, self.free_slots = (
            number,
            pool_spec,
            queue,
            reservation,
            free_slots,
        )
        self.notify = notify
        self.uses_driver_reservation = reservation is not None
        self.state: Literal["waiting", "loading", "ready", "asleep"] = "waiting"
        self.retiring = False
        self.stats = ReplicaStats()
        self.in_flight: dict[int, QueuedRequest] = {}
        self.isolated = False
        self.wakeup = asyncio.Event()
        self._replica: Any = None
        self.features: frozenset[Feature] = frozenset()
        self.node = ""  # Ray's id of the process's node; empty without a process
        self._next_request_number = 0
        self._busy_since = 0.0

    async def start(self, spec: EngineSpec) -> None:
        """Reserve resources, start the process and load the model.

        Raises:
            LoadError: The model cannot be loaded, or its process does nothing for `load_timeout` seconds.
            ReplicaDied: The process exited while loading.
        """
        self.state = "waiting"
        if self.reservation is None or not self.reservation.exists():
            self.reservation, self.uses_driver_reservation = (
                reserve(self.pool_spec.resources, f"{self.pool_spec.name}/{self.number}"),
                False,
            )
        gpus = await self.reservation.wait_until_placed()
        self.state = "loading"
        self._replica = self._new_replica(self.reservation, gpus)
        await self._identify()
        await self.load(spec)
        self.state = "ready"

    async def load(self, spec: EngineSpec) -> None:
        """Load a model in the running process. Raises the same errors as `start`."""
        timeout = self.pool_spec.load_timeout
        try:
            result: frozenset[Feature] | LoadError = await load_watched(self._replica, spec, timeout)
        except TimeoutError as error:
            raise LoadError(spec.model, f"not loaded: its process did nothing for {timeout:g} s") from error
        except RayError as error:
            raise ReplicaDied(describe_actor_error(error)) from error
        if isinstance(result, LoadError):
            raise result
        self.features = result
        self.stats.loads += 1

    async def serve(self) -> None:
        """Send requests and deliver answers until the replica is retired and has no request in flight.

        Raises:
            ReplicaDied: The process has exited or hangs.
        """
        self.queue.subscribe(self.wakeup)
        self.wakeup.set()
        tasks = [asyncio.create_task(each) for each in (self._dispatch_loop(), self._collect_loop(), self._watchdog())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.queue.unsubscribe(self.wakeup)
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def sleep(self) -> None:
        """Offload the model. No request may be in flight. On failure the process is killed, which `serve` notices."""
        self.state = "asleep"
        await self._await_stage("sleep")

    async def wake(self) -> None:
        """Load the offloaded model back. On failure the process is killed, as in `sleep`."""
        if await self._await_stage("wake"):
            self.state = "ready"
            self.wakeup.set()

    def take_in_flight(self) -> list[QueuedRequest]:
        """Kill a crashed or hanging process, and return the requests that were in flight."""
        if self.node:
            kill_process(self.node, self.stats.pid)
            self.node = ""
        self._kill()
        queued_requests = list(self.in_flight.values())
        self.in_flight.clear()
        self._record_busy_time()
        return queued_requests

    async def stop(self) -> None:
        """Unload the model, stop the process, and release the reservation unless it belongs to the driver."""
        if self._replica is not None:
            with contextlib.suppress(TimeoutError, RayError, ReplicaDied):
                await asyncio.wait_for(await_ref(self._replica.close.remote()), REPLICA_CLOSE_TIMEOUT)
        self._kill()
        if self.reservation is not None and not self.uses_driver_reservation:
            self.reservation.release()
        self.reservation = None

    def _new_replica(self, reservation: Reservation, gpus: tuple[str, ...]) -> Any:
        threads = max(1, math.ceil(self.pool_spec.resources.cpus))
        options = {"max_concurrency": 1000, "max_restarts": 0, "max_task_retries": 0, **reservation.actor_options()}
        name = f"{self.pool_spec.name}/{self.number}" + (f"+{self.stats.crashes}" if self.stats.crashes else "")
        actor: Any = ray.remote(Replica)
        return actor.options(name=name, namespace=NAMESPACE, **options).remote(
            threads, None if reservation.spans_nodes else gpus, self.pool_spec.resources.gpus
        )

    async def _identify(self) -> None:
        """Learn where the process is, so that it can be killed while it loads."""
        try:
            self.stats.pid, self.node = await self._replica.identify.remote()
        except RayError as error:
            raise ReplicaDied(describe_actor_error(error)) from error

    def _kill(self) -> None:
        if self._replica is not None:
            ray.kill(self._replica)
            self._replica = None

    async def _await_stage(self, order: Literal["sleep", "wake"]) -> bool:
        replica = self._replica
        try:
            await getattr(replica, order).remote()
        except RayError:
            ray.kill(replica)
            return False
        return True

    async def _dispatch_loop(self) -> None:
        while self.in_flight or not self.retiring:
            await self.wakeup.wait()
            self.wakeup.clear()
            if self.retiring or self.state == "asleep" or (self.isolated and self.in_flight):
                continue
            await asyncio.sleep(BATCHING_WINDOW_SECONDS)
            queued_requests, self.isolated = self.queue.take(self.free_slots(self), idle=not self.in_flight)
            if queued_requests:
                self._send(queued_requests)

    def _send(self, queued_requests: list[QueuedRequest]) -> None:
        if not self.in_flight:
            self._busy_since = time.monotonic()
        first = self._next_request_number
        self._next_request_number += len(queued_requests)
        numbered = dict(enumerate(queued_requests, first))
        self.in_flight |= numbered
        self._replica.submit.remote([(number, queued_request.request) for number, queued_request in numbered.items()])

    async def _collect_loop(self) -> None:
        while True:
            try:
                collected: tuple[list[tuple[int, Answer]], int, list[str]] = await self._replica.collect.remote()
            except RayError as error:
                raise ReplicaDied(describe_actor_error(error)) from error
            answers, retries, notices = collected
            self.stats.retries += retries
            for notice in notices:
                self.notify(notice)
            for number, answer in answers:
                queued_request = self.in_flight.pop(number)
                self.queue.answer(queued_request, answer)
                self._record_stats(queued_request.request, answer)
            self._record_busy_time()
            self.wakeup.set()

    async def _watchdog(self) -> None:
        """Monitor the process.

        Raises:
            ReplicaDied: The process has exited, is stopped, or hangs.
        """
        try:
            reason = await self._new_watchdog(self.node).watch(lambda: Work(len(self.in_flight), self.stats.requests))
        except RayError as error:
            raise ReplicaDied(describe_actor_error(error)) from error
        raise ReplicaDied(reason)

    def _new_watchdog(self, node: str) -> Watchdog:
        """Return what watches the process, which is on a node."""
        limits = self.pool_spec.heartbeat_timeout, self.pool_spec.stall_timeout
        return Watchdog(self._replica, node, self.stats.pid, *limits)

    def _record_stats(self, request: Request, answer: Answer) -> None:
        self.stats.requests += 1
        if isinstance(answer, Generation):
            if isinstance(request, GenerateRequest) and request.sampling.max_tokens > MAX_TOKENS_OF_LABELS:
                self.stats.replies += 1
                self.stats.cut += answer.finish_reason == "length"
            self.stats.tokens_in += answer.tokens_in
            self.stats.tokens_out += answer.tokens_out
        elif isinstance(answer, Classification):
            self.stats.tokens_in += answer.tokens_in
        elif not isinstance(answer, Exception):
            self.stats.tokens_in += len(answer.logprobs)

    def _record_busy_time(self) -> None:
        if self._busy_since:
            now = time.monotonic()
            self.stats.busy_seconds += now - self._busy_since
            self._busy_since = now if self.in_flight else 0.0


def describe_actor_error(error: RayError) -> str:
    """Return Ray's reason for an actor's exit, without the traceback, the identifiers and the possible causes."""
    if not isinstance(error, RayActorError):
        return " ".join(str(error).split())
    lines = [line.strip() for line in str(error).splitlines()]
    text = " ".join(line for line in lines if line and not line.startswith(_IDENTIFIERS))
    if CONNECTION_CLOSED in text:
        return "its process was killed or crashed"
    return text.partition(" Some common causes")[0].rpartition("The actor is dead because ")[2]
