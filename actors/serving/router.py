"""The actor between those who ask a model and the replicas that answer: one for each pool, without a model itself."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Hashable, Sequence

import ray

from actors.engine import Answer, EngineLost, EngineSpec, Feature, LoadError, Request
from actors.serving.replica_set import Crew
from actors.serving.request_queue import Desk
from actors.serving.reservation import Berth, remove_leftovers
from actors.serving.spec import Asker, PoolStats, Terms

LEASE_SECONDS = 60.0  # a shared pool ends when no driver has renewed its lease for so long


class Router:
    """Takes requests from any number of clients, serves them in turns, and answers each exactly once."""

    def __init__(self, terms: Terms, berths: Sequence[Berth], leased: bool) -> None:
        self._desk = Desk(terms.spec.model)
        self._terms, self._berths = terms, berths
        self._crew: Crew | None = None
        self._leases: dict[str, float] = {}
        self._leased = leased
        self._lessor: asyncio.Task[None] | None = None
        self._swapping = asyncio.Lock()

    async def open(self, driver: str) -> None:
        """Start the replicas, if they are not there, and note that a driver uses them."""
        self._leases[driver] = time.monotonic()
        self._running().expect()

    async def submit(self, asker: Asker, spec: EngineSpec, requests: Sequence[tuple[int, Hashable, Request]]) -> None:
        """Take (number, lane, request) for the model `spec`; numbers are the asker's own.

        Another model than the present one is swapped in first: a router that was killed knows its first model only.
        """
        while spec != self._running().terms.spec:
            await self.reload(spec)
        self._desk.submit(asker, requests)

    async def collect(self, asker: Asker) -> list[tuple[int, Answer]] | None:
        """Answers as they become ready, by the asker's numbers; empty after some seconds without any.

        None if the asker was forgotten and has to ask again.
        """
        return await self._desk.collect(asker)

    async def ready(self, seconds: float) -> tuple[int, int, LoadError | EngineLost | None]:
        """How many replicas are ready and how many are not yet, after so long a wait; and why no more will be."""
        crew = self._running()
        if crew.missing and not self._desk.failure:
            crew.settled.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(crew.settled.wait(), seconds)
        return crew.ready, crew.missing, self._desk.failure

    async def reload(self, spec: EngineSpec) -> LoadError | EngineLost | None:
        """Put another model into the replicas, once nothing is open."""
        async with self._swapping:
            crew = self._running()
            while self._desk.queued or crew.in_flight:
                await asyncio.sleep(0.05)
            await crew.reload(spec)
        return self._desk.failure

    async def rest(self) -> None:
        """Let idle replicas go."""
        self._running().rest()

    async def sleep(self) -> None:
        """Put the replicas to sleep."""
        await self._running().sleep()

    async def wake(self) -> None:
        """Wake the replicas in their berths."""
        await self._running().wake()

    async def stats(self) -> PoolStats:
        """The present state."""
        crew = self._running()
        loaded = [seat for seat in crew.seats if seat.state in ("ready", "asleep")]
        pids = tuple(seat.work.pid for seat in loaded)
        features = loaded[0].features if loaded else frozenset[Feature]()
        events, poisoned = tuple(crew.events), tuple(self._desk.poisoned)
        waits = self._desk.queued, crew.in_flight
        return PoolStats(pids, len(crew.seats), *waits, crew.work(), features, poisoned, events, self._desk.again)

    async def renew(self, driver: str) -> None:
        """A driver still uses the pool."""
        self._leases[driver] = time.monotonic()

    async def close(self, driver: str) -> bool:
        """A driver uses the pool no more; without others, all replicas end. True if the router may be ended too."""
        self._leases.pop(driver, None)
        forgotten = self._leased and ray.get_runtime_context().was_current_actor_reconstructed
        if self._leases or forgotten:  # a router that was killed does not know all leases: it waits until they run out
            return False
        if self._crew is not None:
            await self._crew.close()
        return True

    async def _end_without_lease(self) -> None:
        while True:
            await asyncio.sleep(LEASE_SECONDS / 4)
            now = time.monotonic()
            self._leases = {name: seen for name, seen in self._leases.items() if now - seen < LEASE_SECONDS}
            if not self._leases:
                await self._running().close()
                ray.kill(ray.get_runtime_context().current_actor)

    def _running(self) -> Crew:
        """The crew; a router that was killed has lost its own, and clients that ask again bring a new one."""
        if self._crew is None:
            remove_leftovers(self._terms.name)
            self._crew = Crew(self._terms, self._desk, self._berths)
            if self._leased:
                self._lessor = asyncio.create_task(self._end_without_lease())
        return self._crew
