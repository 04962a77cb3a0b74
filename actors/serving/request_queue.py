"""Where requests wait for a replica, and answers for those who asked. No Ray in here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from actors.engine import Answer, EngineLost, LoadError, Request, RequestError
from actors.serving.poison_search import Suspects
from actors.serving.queues import Outbox, Turns
from actors.serving.spec import Asker, Ticket

LINGER_SECONDS = 0.005
COLLECT_SECONDS = 10.0  # a call for answers returns without any after so long
SUSPECTS_SECONDS = 5.0
FORGET_SECONDS = 60.0  # an asker that has not fetched for so long is gone


@dataclass(slots=True)
class _Tray:
    """Answers that wait for an asker, when it last came for them, and the numbers that have none yet."""

    answers: Outbox[tuple[int, Answer]] = field(default_factory=lambda: Outbox(LINGER_SECONDS))
    seen: float = field(default_factory=time.monotonic)
    waiting: int = 0
    calls: int = 0
    open: set[int] = field(default_factory=set[int])


class Desk:
    """Takes requests from many askers, deals them out in turns, and keeps answers until they are fetched."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.failure: LoadError | EngineLost | None = None
        self.answered = 0
        self.poisoned: list[str] = []  # ids of quarantined requests
        self.again = 0  # requests that were in flight when their replica died
        self._queue: Turns[Ticket] = Turns()
        self._suspects: Suspects[Ticket] = Suspects()
        self._askers: dict[Asker, _Tray] = {}
        self._forgotten: set[Asker] = set()
        self._waiting_since = 0.0  # suspects, for an idle replica
        self._wakers: set[asyncio.Event] = set()

    @property
    def queued(self) -> int:
        """Requests that no replica has yet."""
        return len(self._queue) + len(self._suspects)

    def submit(self, asker: Asker, requests: Sequence[tuple[int, Hashable, Request]]) -> None:
        """Take (number, lane, request) from an asker, whose lanes are served in turn.

        One that was forgotten is not heard before it knows: it asks again then, or it is a dead one's last message.
        What is open is not taken twice: who lost sight of the router for a moment sends all that it waits for.
        """
        if asker in self._forgotten:
            return
        tray = self._asker(asker)
        for number, lane, request in requests:
            if number in tray.open:
                continue
            tray.open.add(number)
            ticket = Ticket(asker, number, request)
            if self.failure:
                self._deliver(ticket, self.failure)
            else:
                self._queue.put(asker, lane, ticket)
        self.wake_all()

    async def collect(self, asker: Asker) -> list[tuple[int, Answer]] | None:
        """Answers for an asker by its own numbers; none after a while without.

        None if it was forgotten meanwhile, because it did not come for so long: it has to ask everything again. Only
        its last call is answered: of an earlier one that still waits it has lost sight.
        """
        if asker in self._forgotten:
            self._forgotten.remove(asker)
            return None
        who = self._asker(asker)
        who.waiting += 1
        who.calls += 1
        call = who.calls
        try:
            answers = await who.answers.take(COLLECT_SECONDS)
        finally:
            who.waiting -= 1
            who.seen = time.monotonic()
        if call < who.calls:
            who.answers.put(answers)
            return []
        return answers

    def take(self, room: int, idle: bool) -> tuple[list[Ticket], bool]:
        """Tickets for a replica with `room` for so many more, and whether they are to be alone with it.

        Suspects go first, to a replica with nothing in flight. If none comes for them within a few seconds (the one
        that died should start again), nobody gets anything else until one is idle.
        """
        if self._suspects:
            if idle:
                self._waiting_since = time.monotonic()
                return self._suspects.next(), True
            if time.monotonic() - self._waiting_since > SUSPECTS_SECONDS:
                return [], False
        return self._queue.take(room), False

    def answer(self, ticket: Ticket, answer: Answer) -> None:
        """Hand in an answer."""
        self.answered += 1
        self._deliver(ticket, answer)

    def died(self, tickets: Sequence[Ticket], alone: bool) -> None:
        """A replica died with these in flight: they will be tried again, and the one that kills is quarantined."""
        self._waiting_since = time.monotonic()
        self.again += len(tickets)
        if self.failure:
            self._give_up(tickets, self.failure)
        elif not alone:
            self._suspects.suspect(tickets)
        elif guilty := self._suspects.died(tickets):
            self.poisoned.append(guilty.request.id)
            detail = "the engine's process died each time it had this request, also with nothing beside it"
            self._deliver(guilty, RequestError("poisoned", detail))
        self.wake_all()

    def back(self, tickets: Iterable[Ticket]) -> None:
        """Tickets of a replica that was taken away through no fault of theirs."""
        if self.failure:
            self._give_up(tickets, self.failure)
        else:
            for ticket in tickets:
                self._queue.put(ticket.asker, "back", ticket)
        self.wake_all()

    def fail(self, failure: LoadError | EngineLost) -> None:
        """Nothing can be answered any more: all that wait, and all that come or come back, get this."""
        self.failure = failure
        self._give_up([*self._suspects.clear(), *self._queue.take(len(self._queue))], failure)
        self.wake_all()

    def recover(self, model: str) -> None:
        """Another model takes over."""
        self.model, self.failure = model, None

    def forget_absent(self) -> None:
        """Drop what askers have waiting that do not fetch answers any more: most likely their process is gone."""
        now = time.monotonic()
        for asker, tray in list(self._askers.items()):
            if not tray.waiting and now - tray.seen > FORGET_SECONDS:
                self._forget(asker)

    def add_waker(self, event: asyncio.Event) -> None:
        """Set this event whenever there may be something to take."""
        self._wakers.add(event)

    def remove_waker(self, event: asyncio.Event) -> None:
        """No more."""
        self._wakers.discard(event)

    def wake_all(self) -> None:
        """Something has changed."""
        for event in self._wakers:
            event.set()

    def _asker(self, asker: Asker) -> _Tray:
        if asker not in self._askers:
            for other in [other for other in self._askers if other.home == asker.home and other.life != asker.life]:
                self._forget(other)  # its process is gone: what it had waiting is asked again in this life
            self._askers[asker] = _Tray()
        return self._askers[asker]

    def _forget(self, asker: Asker) -> None:
        self._queue.drop(asker)
        del self._askers[asker]
        self._forgotten.add(asker)

    def _give_up(self, tickets: Iterable[Ticket], failure: LoadError | EngineLost) -> None:
        for ticket in tickets:
            self._deliver(ticket, failure)

    def _deliver(self, ticket: Ticket, answer: Answer) -> None:
        if tray := self._askers.get(ticket.asker):
            tray.open.discard(ticket.number)
            tray.answers.put([(ticket.number, answer)])
