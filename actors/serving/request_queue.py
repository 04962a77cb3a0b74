"""Queues requests for a router's replicas, and answers for its clients. This module does not use Ray."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from actors.engine import Answer, EngineLost, LoadError, Request, RequestError
from actors.serving.queueing.poison_search import PoisonSearch
from actors.serving.queueing.queues import CoalescingQueue, FairQueue
from actors.serving.spec import ClientId, QueuedRequest

BATCHING_WINDOW_SECONDS = 0.005
COLLECT_TIMEOUT = 10.0  # seconds after which `collect` returns without answers
ISOLATION_TIMEOUT = 5.0
CLIENT_TIMEOUT = 60.0  # seconds without a `collect` after which a client expires


@dataclass(slots=True)
class _Mailbox:
    """A client's undelivered answers, the time of its last fetch, and the numbers of its open requests."""

    answers: CoalescingQueue[tuple[int, Answer]] = field(
        default_factory=lambda: CoalescingQueue(BATCHING_WINDOW_SECONDS)
    )
    last_fetch: float = field(default_factory=time.monotonic)
    waiting_calls: int = 0
    call_count: int = 0
    open_numbers: set[int] = field(default_factory=set[int])


class RequestQueue:
    """Takes requests from many clients, hands them out in round-robin order, and keeps answers until fetched."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.failure: LoadError | EngineLost | None = None
        self.answered_count = 0
        self.poisoned: list[str] = []  # ids of quarantined requests
        self.retried = 0  # requests that were in flight when their replica crashed
        self._queue: FairQueue[QueuedRequest] = FairQueue()
        self._poison_search: PoisonSearch[QueuedRequest] = PoisonSearch()
        self._mailboxes: dict[ClientId, _Mailbox] = {}
        self._expired: set[ClientId] = set()
        self._suspects_waiting_since = 0.0  # when suspects began to wait for an idle replica
        self._subscribers: set[asyncio.Event] = set()

    @property
    def queued(self) -> int:
        """The number of requests that are not at a replica."""
        return len(self._queue) + len(self._poison_search)

    def submit(self, client_id: ClientId, requests: Sequence[tuple[int, Hashable, Request]]) -> None:
        """Queue a client's requests, given as (number, queue name, request).

        Requests of an expired client are ignored until its next `collect` tells it to submit them again. The client may
        also have exited, in which case they are its last message. Requests that are already open are skipped: after a
        lost connection a client submits all its open requests again.
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
        """Wait for a client's answers and return them with its request numbers. Empty after `COLLECT_TIMEOUT`.

        Returns None if the client has expired and must submit its open requests again. Only the client's last call
        gets answers; an earlier one that is still waiting belongs to a lost connection.
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
        """Return up to `free_slots` queued requests for a replica, and whether they must run in isolation.

        Suspects come first, and need a replica that is `idle`. If no idle replica takes them within `ISOLATION_TIMEOUT`
        (usually the restarted one does), no replica gets other requests until one is idle.
        """
        if self._poison_search:
            if idle:
                self._suspects_waiting_since = time.monotonic()
                return self._poison_search.next_batch(), True
            if time.monotonic() - self._suspects_waiting_since > ISOLATION_TIMEOUT:
                return [], False
        return self._queue.take(free_slots), False

    def answer(self, queued_request: QueuedRequest, answer: Answer) -> None:
        """Deliver the answer of a request to its client."""
        self.answered_count += 1
        self._deliver(queued_request, answer)

    def replica_died(self, queued_requests: Sequence[QueuedRequest], isolated: bool) -> None:
        """Retry the requests that were in flight when a replica crashed, and quarantine the one that crashes it."""
        self._suspects_waiting_since = time.monotonic()
        self.retried += len(queued_requests)
        if self.failure:
            self._deliver_failure(queued_requests, self.failure)
        elif not isolated:
            self._poison_search.add(queued_requests)
        elif poison_request := self._poison_search.batch_died(queued_requests):
            self.poisoned.append(poison_request.request.id)
            detail = "the engine's process crashed each time with this request in flight, even with no other request"
            self._deliver(poison_request, RequestError("poisoned", detail))
        self.notify_all()

    def requeue(self, queued_requests: Iterable[QueuedRequest]) -> None:
        """Queue requests again whose replica was stopped for reasons other than a crash."""
        if self.failure:
            self._deliver_failure(queued_requests, self.failure)
        else:
            for queued_request in queued_requests:
                self._queue.put(queued_request.client_id, "back", queued_request)
        self.notify_all()

    def fail_all(self, failure: LoadError | EngineLost) -> None:
        """Fail all queued requests, and every later or requeued one, with this error."""
        self.failure = failure
        self._deliver_failure([*self._poison_search.drain(), *self._queue.take(len(self._queue))], failure)
        self.notify_all()

    def reset(self, model: str) -> None:
        """Accept requests again, for another model."""
        self.model, self.failure = model, None

    def expire_clients(self) -> None:
        """Drop the requests and answers of clients that have stopped fetching; their process has most likely exited."""
        now = time.monotonic()
        for client_id, mailbox in list(self._mailboxes.items()):
            if not mailbox.waiting_calls and now - mailbox.last_fetch > CLIENT_TIMEOUT:
                self._expire(client_id)

    def subscribe(self, event: asyncio.Event) -> None:
        """Set this event whenever requests may be available."""
        self._subscribers.add(event)

    def unsubscribe(self, event: asyncio.Event) -> None:
        """Stop setting this event."""
        self._subscribers.discard(event)

    def notify_all(self) -> None:
        """Set the events of all subscribers."""
        for event in self._subscribers:
            event.set()

    def _mailbox(self, client_id: ClientId) -> _Mailbox:
        if client_id not in self._mailboxes:
            for other in [
                other
                for other in self._mailboxes
                if other.actor_id == client_id.actor_id and other.incarnation != client_id.incarnation
            ]:
                self._expire(other)  # its process has exited, and the new incarnation submits its requests again
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
