"""Where requests wait for a replica, and answers for those who asked. No Ray in here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from actors.engine import Answer, EngineLost, LoadError, Request, RequestError
from actors.serving.poison_search import PoisonSearch
from actors.serving.queues import CoalescingQueue, FairQueue
from actors.serving.spec import ClientId, QueuedRequest

BATCHING_WINDOW_SECONDS = 0.005
COLLECT_TIMEOUT = 10.0  # a call for answers returns without any after so long
ISOLATION_TIMEOUT = 5.0
CLIENT_TIMEOUT = 60.0  # an asker that has not fetched for so long is gone


@dataclass(slots=True)
class _Mailbox:
    """Answers that wait for an asker, when it last came for them, and the numbers that have none yet."""

    answers: CoalescingQueue[tuple[int, Answer]] = field(
        default_factory=lambda: CoalescingQueue(BATCHING_WINDOW_SECONDS)
    )
    last_fetch: float = field(default_factory=time.monotonic)
    waiting_calls: int = 0
    call_count: int = 0
    open_numbers: set[int] = field(default_factory=set[int])


class RequestQueue:
    """Takes requests from many askers, deals them out in turns, and keeps answers until they are fetched."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.failure: LoadError | EngineLost | None = None
        self.answered_count = 0
        self.poisoned: list[str] = []  # ids of quarantined requests
        self.retried = 0  # requests that were in flight when their replica died
        self._queue: FairQueue[QueuedRequest] = FairQueue()
        self._poison_search: PoisonSearch[QueuedRequest] = PoisonSearch()
        self._mailboxes: dict[ClientId, _Mailbox] = {}
        self._expired: set[ClientId] = set()
        self._suspects_waiting_since = 0.0  # suspects, for an idle replica
        self._subscribers: set[asyncio.Event] = set()

    @property
    def queued(self) -> int:
        """Requests that no replica has yet."""
        return len(self._queue) + len(self._poison_search)

    def submit(self, client_id: ClientId, requests: Sequence[tuple[int, Hashable, Request]]) -> None:
        """Take (number, lane, request) from an asker, whose lanes are served in turn.

        One that was forgotten is not heard before it knows: it asks again then, or it is a dead one's last message.
        What is open is not taken twice: who lost sight of the router for a moment sends all that it waits for.
        """
        if client_id in self._expired:
            return
        mailbox = self._mailbox(client_id)
        for number, queue_name, request in requests:
            if number in mailbox.open_numbers:
                continue
            mailbox.open_numbers.add(number)
            queued_request = QueuedRequest(client_id, number, request)
            if self.failure:
                self._deliver(queued_request, self.failure)
            else:
                self._queue.put(client_id, queue_name, queued_request)
        self.notify_all()

    async def collect(self, client_id: ClientId) -> list[tuple[int, Answer]] | None:
        """Answers for an asker by its own numbers; none after a while without.

        None if it was forgotten meanwhile, because it did not come for so long: it has to ask everything again. Only
        its last call is answered: of an earlier one that still waits it has lost sight.
        """
        if client_id in self._expired:
            self._expired.remove(client_id)
            return None
        mailbox = self._mailbox(client_id)
        mailbox.waiting_calls += 1
        mailbox.call_count += 1
        call_number = mailbox.call_count
        try:
            answers = await mailbox.answers.take(COLLECT_TIMEOUT)
        finally:
            mailbox.waiting_calls -= 1
            mailbox.last_fetch = time.monotonic()
        if call_number < mailbox.call_count:
            mailbox.answers.put(answers)
            return []
        return answers

    def take(self, free_slots: int, idle: bool) -> tuple[list[QueuedRequest], bool]:
        """Tickets for a replica with `free_slots` for so many more, and whether they are to be alone with it.

        Suspects go first, to a replica with nothing in flight. If none comes for them within a few seconds (the one
        that died should start again), nobody gets anything else until one is idle.
        """
        if self._poison_search:
            if idle:
                self._suspects_waiting_since = time.monotonic()
                return self._poison_search.next_batch(), True
            if time.monotonic() - self._suspects_waiting_since > ISOLATION_TIMEOUT:
                return [], False
        return self._queue.take(free_slots), False

    def answer(self, queued_request: QueuedRequest, answer: Answer) -> None:
        """Hand in an answer."""
        self.answered_count += 1
        self._deliver(queued_request, answer)

    def replica_died(self, queued_requests: Sequence[QueuedRequest], isolated: bool) -> None:
        """A replica died with these in flight: they will be tried again, and the one that kills is quarantined."""
        self._suspects_waiting_since = time.monotonic()
        self.retried += len(queued_requests)
        if self.failure:
            self._deliver_failure(queued_requests, self.failure)
        elif not isolated:
            self._poison_search.add(queued_requests)
        elif poison_request := self._poison_search.batch_died(queued_requests):
            self.poisoned.append(poison_request.request.id)
            detail = "the engine's process died each time it had this request, also with nothing beside it"
            self._deliver(poison_request, RequestError("poisoned", detail))
        self.notify_all()

    def requeue(self, queued_requests: Iterable[QueuedRequest]) -> None:
        """Tickets of a replica that was taken away through no fault of theirs."""
        if self.failure:
            self._deliver_failure(queued_requests, self.failure)
        else:
            for queued_request in queued_requests:
                self._queue.put(queued_request.client_id, "back", queued_request)
        self.notify_all()

    def fail_all(self, failure: LoadError | EngineLost) -> None:
        """Nothing can be answered any more: all that wait, and all that come or come back, get this."""
        self.failure = failure
        self._deliver_failure([*self._poison_search.drain(), *self._queue.take(len(self._queue))], failure)
        self.notify_all()

    def reset(self, model: str) -> None:
        """Another model takes over."""
        self.model, self.failure = model, None

    def expire_clients(self) -> None:
        """Drop what askers have waiting that do not fetch answers any more: most likely their process is gone."""
        now = time.monotonic()
        for client_id, mailbox in list(self._mailboxes.items()):
            if not mailbox.waiting_calls and now - mailbox.last_fetch > CLIENT_TIMEOUT:
                self._expire(client_id)

    def subscribe(self, event: asyncio.Event) -> None:
        """Set this event whenever there may be something to take."""
        self._subscribers.add(event)

    def unsubscribe(self, event: asyncio.Event) -> None:
        """No more."""
        self._subscribers.discard(event)

    def notify_all(self) -> None:
        """Something has changed."""
        for event in self._subscribers:
            event.set()

    def _mailbox(self, client_id: ClientId) -> _Mailbox:
        if client_id not in self._mailboxes:
            for other in [
                other
                for other in self._mailboxes
                if other.actor_id == client_id.actor_id and other.incarnation != client_id.incarnation
            ]:
                self._expire(other)  # its process is gone: what it had waiting is asked again in this life
            self._mailboxes[client_id] = _Mailbox()
        return self._mailboxes[client_id]

    def _expire(self, client_id: ClientId) -> None:
        self._queue.drop(client_id)
        del self._mailboxes[client_id]
        self._expired.add(client_id)

    def _deliver_failure(self, queued_requests: Iterable[QueuedRequest], failure: LoadError | EngineLost) -> None:
        for queued_request in queued_requests:
            self._deliver(queued_request, failure)

    def _deliver(self, queued_request: QueuedRequest, answer: Answer) -> None:
        if mailbox := self._mailboxes.get(queued_request.client_id):
            mailbox.open_numbers.discard(queued_request.number)
            mailbox.answers.put([(queued_request.number, answer)])
