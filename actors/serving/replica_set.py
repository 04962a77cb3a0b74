"""The replicas of one model: how many there are, and what happens when one can not start or dies."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Sequence
from dataclasses import replace

from actors.engine import EngineLost, EngineSpec, LoadError
from actors.serving.replica_handle import Died, Seat
from actors.serving.request_queue import Desk
from actors.serving.reservation import Berth
from actors.serving.spec import Event, Terms, Work
from cluster.resources.draining import draining

SCALE_SECONDS = 1.0
IDLE_SECONDS = 10.0  # a replica too many is kept for so long
LOAD_DEATHS = 3  # processes lost while loading, one after another: the model can not start
DEATHS = 16  # processes lost without a single answer in between: more than a poisoned request needs to be found
PAUSES = (0.0, 0.0, 1.0, 2.0, 4.0)  # seconds before a start after so many deaths in a row
MAX_EVENTS = 100
NODES_SECONDS = 2.0  # between two looks which nodes are about to go


class Crew:
    """Keeps between `least` and `most` seats occupied, by the length of the queue."""

    def __init__(self, terms: Terms, desk: Desk, berths: Sequence[Berth]) -> None:
        self.terms, self.desk = terms, desk
        self.seats: list[Seat] = []
        self.past = Work()  # of seats that are no more
        self.events: list[Event] = []
        self.settled = asyncio.Event()  # set at every change that `ready` waits for
        self._lent = list(berths)  # the driver's, for the first seats
        self._tasks: dict[Seat, asyncio.Task[None]] = {}
        self._load_deaths = self._deaths = self._number = self._told = 0
        self._answered = 0
        self._closing = False
        self._awake = asyncio.Event()
        self._awake.set()
        self._least, self._most = terms.least, terms.most  # less where work is over, or where replicas were given up
        self._idle_since = time.monotonic()
        self._set_size(terms.least)
        self._watchers = [asyncio.create_task(each) for each in (self._scale(), self._leave_nodes())]

    @property
    def ready(self) -> int:
        """Seats with a loaded model."""
        return sum(seat.state == "ready" for seat in self.seats)

    @property
    def in_flight(self) -> int:
        """Requests at replicas."""
        return sum(len(seat.in_flight) for seat in self.seats)

    @property
    def missing(self) -> int:
        """Seats that are still to be made ready, of the least number."""
        return max(0, min(self.terms.least, self._most) - self.ready)

    def expect(self) -> None:
        """Work is coming: at least the least number of seats."""
        self._least, self._most = self.terms.least, self.terms.most
        self._set_size(max(self._least, sum(not seat.retiring for seat in self.seats)))

    def rest(self) -> None:
        """No more work is expected: idle seats may all go. Work that comes nevertheless brings them back."""
        self._least = 0
        self._idle_since = -math.inf

    async def reload(self, spec: EngineSpec) -> None:
        """Put another model into the same processes; nothing may be in flight."""
        self.terms = replace(self.terms, spec=spec)
        self.desk.recover(spec.model)
        self._load_deaths = self._deaths = 0
        for seat in self._not_ready():
            self._retire(seat)  # it may be loading the model before
        loaded = [seat for seat in self.seats if not seat.retiring]
        await asyncio.gather(*(self._reload(seat) for seat in loaded))
        self._set_size(max(self._least, len(loaded)))

    async def sleep(self) -> None:
        """Take all models off their devices; other pools may then use the driver's berths, until `wake`."""
        self._awake.clear()
        # a berth of its own would be held for nothing, and what loads now is no more needed
        own = [seat for seat in self.seats if not seat.borrowed and not seat.retiring]
        for seat in {*own, *self._not_ready()}:
            self._retire(seat)
        leaving = [task for seat, task in self._tasks.items() if seat.retiring]
        await asyncio.gather(*(seat.sleep() for seat in self.seats if not seat.retiring))
        await asyncio.gather(*leaving, return_exceptions=True)

    async def wake(self) -> None:
        """Bring the models back to their berths."""
        for seat in self.seats:
            if seat.state == "asleep":
                await seat.wake()
        self._awake.set()

    async def close(self) -> None:
        """End all seats."""
        self._closing = True
        for task in (*self._watchers, *self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await asyncio.gather(*(seat.end() for seat in self.seats))
        self.seats.clear()

    def work(self) -> Work:
        """What all seats have done so far."""
        total = self.past
        for seat in self.seats:
            total = _sum(total, seat.work)
        return total

    def tell(self, text: str) -> None:
        """Note an event."""
        self._told += 1
        self.events = [*self.events, Event(self._told, text)][-MAX_EVENTS:]

    def room(self, seat: Seat) -> int:
        """How many more requests a seat may take: its part of all that are open, within its bound."""
        ready = max(1, self.ready)
        fair = math.ceil((self.desk.queued + self.in_flight) / ready)
        return max(0, min(self.terms.in_flight, fair) - len(seat.in_flight))

    async def _reload(self, seat: Seat) -> None:
        try:
            with contextlib.suppress(Died):  # its watchdog sees that, too, and it starts with the new model
                await seat.load(self.terms.spec)
        except LoadError as error:
            self.desk.fail(error)

    def _not_ready(self) -> list[Seat]:
        return [seat for seat in self.seats if seat.state != "ready" and not seat.retiring]

    def _set_size(self, size: int) -> None:
        active = [seat for seat in self.seats if not seat.retiring]
        for _ in range(size - len(active)):
            self._add()
        for seat in sorted(active, key=lambda seat: (seat.state == "ready", len(seat.in_flight)))[: len(active) - size]:
            self._retire(seat)

    def _add(self) -> None:
        berth = self._lent.pop() if self._lent else None
        seat = Seat(self._number, self.terms, self.desk, berth, self.room)
        self._number += 1
        self.seats.append(seat)
        self._tasks[seat] = asyncio.create_task(self._tend(seat))

    def _retire(self, seat: Seat) -> None:
        seat.retiring = True
        seat.woken.set()
        if seat.state != "ready":
            self._tasks[seat].cancel()

    async def _tend(self, seat: Seat) -> None:
        """A seat's life: started again after every death, until it is retired or the model is given up."""
        try:
            while not seat.retiring and not self.desk.failure:
                await self._awake.wait()
                await asyncio.sleep(PAUSES[min(self._deaths + self._load_deaths, len(PAUSES) - 1)])
                await self._live(seat)
        finally:
            if self._tasks.pop(seat, None):
                await self._dismiss(seat)
            self.settled.set()

    async def _dismiss(self, seat: Seat) -> None:
        """End a seat. The driver's berth is for the next one, and so is what an unforeseen error has left in flight."""
        seat.retiring = True
        lent = [seat.berth] if seat.berth is not None and seat.borrowed else []
        self.desk.back(seat.in_flight.values())
        await asyncio.shield(seat.end())
        self._lent += lent
        late = next((each for each in self.seats if each.state == "waiting" and not each.borrowed), None)
        if lent and late and not (late.retiring or self._closing):  # it asks the cluster for what this berth holds
            self._retire(late)
            self._add()
        self.past = _sum(self.past, seat.work)
        self.seats.remove(seat)

    async def _live(self, seat: Seat) -> None:
        """From a start to a death or to retirement."""
        try:
            await seat.start(self.terms.spec)
            self._load_deaths = 0
            self.settled.set()
            self.desk.wake_all()  # shares have changed
            await seat.serve()
        except LoadError as error:
            self._not_loaded(seat, error)
        except Died as death:
            self._died(seat, death)

    def _not_loaded(self, seat: Seat, error: LoadError) -> None:
        """One seat among others is given up (its node may be at fault); without others, so is the model."""
        seat.retiring = True
        if any(other.state == "ready" for other in self.seats if other is not seat):
            self._most = max(1, sum(not other.retiring for other in self.seats))
            self.tell(f"a replica of {self.desk.model} is given up: {error.detail}")
        else:
            self.desk.fail(error)

    def _died(self, seat: Seat, death: Died) -> None:
        model, loading = self.desk.model, seat.state in ("waiting", "loading")
        seat.work.deaths += 1
        seat.state = "waiting"
        alone = seat.alone
        self.desk.died(seat.abandon(), alone)
        if loading:
            self._load_deaths += 1
        self._deaths = self._deaths + 1 if self.desk.answered == self._answered else 1
        self._answered = self.desk.answered
        self.tell(f"a replica of {model} died and starts again: {death}")
        if self._load_deaths >= LOAD_DEATHS and not self.ready:
            detail = f"its process died {LOAD_DEATHS} times while loading: {death}"
            self.desk.fail(LoadError(model, detail))
        elif self._deaths > DEATHS:
            self.desk.fail(EngineLost(model, f"its processes died {self._deaths} times without an answer: {death}"))

    async def _leave_nodes(self) -> None:
        """Replicas on nodes that are about to go finish what they have; others begin elsewhere."""
        while True:
            await asyncio.sleep(NODES_SECONDS)
            going = await asyncio.to_thread(draining)
            for seat in [seat for seat in self.seats if seat.node in going and seat.state == "ready"]:
                if not seat.retiring:
                    self.tell(f"a replica of {self.desk.model} leaves its node, which is about to go")
                    seat.borrowed = False  # nobody is to have its berth
                    self._retire(seat)
                    self._add()

    async def _scale(self) -> None:
        while True:
            await asyncio.sleep(SCALE_SECONDS)
            self.desk.forget_absent()
            if self.desk.failure or not self._awake.is_set():
                continue
            active = sum(not seat.retiring for seat in self.seats)
            want = wanted(self.desk.queued + self.in_flight, self.terms.in_flight, self._least, self._most)
            now = time.monotonic()
            if want >= active:
                self._idle_since = now if self._least else -math.inf
            if want > active or (want < active and now - self._idle_since > IDLE_SECONDS):
                self._set_size(want)


def wanted(open_requests: int, in_flight: int, least: int, most: int) -> int:
    """How many replicas a number of open requests is worth, when each holds `in_flight`."""
    return min(most, max(least, math.ceil(open_requests / in_flight)))


def _sum(one: Work, other: Work) -> Work:
    return Work(
        one.requests + other.requests,
        one.tokens_in + other.tokens_in,
        one.tokens_out + other.tokens_out,
        one.busy_seconds + other.busy_seconds,
        one.loads + other.loads,
        one.deaths + other.deaths,
        other.pid or one.pid,
        one.retries + other.retries,
    )
