"""The client of a pool, for any process of the cluster: sends requests in batches, fetches answers as they arrive."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections import defaultdict, deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayActorError

from actors.engine import (
    Answer,
    Classification,
    ClassifyRequest,
    EngineLost,
    EngineSpec,
    GenerateRequest,
    Generation,
    LogprobRequest,
    Request,
    TokenLogprobs,
)
from actors.serving.spec import ClientId, PoolClosed

INCARNATION = uuid.uuid4().hex  # identifies this process
BATCHING_WINDOW_SECONDS = 0.002
ROUTER_RETRIES = 5  # after a crash of the router, which Ray restarts
ROUTER_RETRY_SECONDS = 1.0


@dataclass(slots=True)
class _OpenRequest:
    """A request that has no answer yet."""

    queue_name: Hashable
    request: Request
    answer: asyncio.Future[Answer]


@dataclass(slots=True)
class _Window:
    """A queue's open requests, and those that wait until fewer are open.

    It is not a semaphore: asyncio's looks through all waiters that it has woken and that have not run since.
    """

    open_count: int = 0
    waiting: deque[tuple[int, _OpenRequest]] = field(default_factory=deque[tuple[int, _OpenRequest]])


class _RouterConnection:
    """One event loop's connection to a router."""

    def __init__(self, router: Any, spec: EngineSpec) -> None:
        self.loop = asyncio.get_running_loop()
        self.router, self.spec = router, spec
        actor_id: str = ray.get_runtime_context().get_actor_id() or INCARNATION
        self.client_id = ClientId(actor_id, INCARNATION, uuid.uuid4().hex)
        self.numbers = itertools.count()
        self.open_requests: dict[int, _OpenRequest] = {}
        self.unsent: list[int] = []
        self.windows: defaultdict[Hashable, _Window] = defaultdict(_Window)
        self.sender: asyncio.Task[None] | None = None
        self.fetcher: asyncio.Task[None] | None = None

    async def ask(self, queue_name: Hashable, window: int, request: Request) -> Answer:
        """Send one request and return its answer, which is an exception if the request failed.

        It is sent once fewer than `window` requests of its queue are open.
        """
        number = next(self.numbers)
        entry = _OpenRequest(queue_name, request, self.loop.create_future())
        of_queue = self.windows[queue_name]
        if of_queue.open_count < window:
            of_queue.open_count += 1
            self._open(number, entry)
        else:
            of_queue.waiting.append((number, entry))
        try:
            return await entry.answer
        finally:
            self._close(number)

    def _open(self, number: int, entry: _OpenRequest) -> None:
        self.open_requests[number] = entry
        self.unsent.append(number)
        if self.sender is None or self.sender.done():
            self.sender = self.loop.create_task(self._send())
        if self.fetcher is None or self.fetcher.done():
            self.fetcher = self.loop.create_task(self._fetch())

    def _close(self, number: int) -> _OpenRequest | None:
        """Return an open request that is open no longer, and open the next one of its queue in its place."""
        entry = self.open_requests.pop(number, None)
        if entry is None:
            return None
        of_queue = self.windows[entry.queue_name]
        while of_queue.waiting:
            next_number, waiting = of_queue.waiting.popleft()
            if not waiting.answer.done():  # nobody has cancelled it
                self._open(next_number, waiting)
                return entry
        of_queue.open_count -= 1
        return entry

    async def _send(self) -> None:
        while self.unsent:
            await asyncio.sleep(BATCHING_WINDOW_SECONDS)
            numbers, self.unsent = self.unsent, []
            entries = [(number, self.open_requests[number]) for number in numbers if number in self.open_requests]
            requests = [(number, entry.queue_name, entry.request) for number, entry in entries]
            self.router.submit.remote(self.client_id, self.spec, requests)

    async def _fetch(self) -> None:
        lost_count = 0
        while self.open_requests:
            try:
                answers: list[tuple[int, Answer]] | None = await self.router.collect.remote(self.client_id)
                lost_count = 0 if answers else lost_count
            except RayActorError as error:
                lost_count += 1
                if lost_count > ROUTER_RETRIES or not ray.is_initialized():
                    self._fail_open_requests(f"its router has crashed: {' '.join(str(error).split())}")
                    return
                await asyncio.sleep(ROUTER_RETRY_SECONDS)
                answers = None
            except PoolClosed:
                self._fail_open_requests("its pool is closed")
                return
            if answers is None:  # the router no longer knows the open requests
                self.unsent = list(self.open_requests)
                self.sender = self.loop.create_task(self._send())
                continue
            for number, answer in answers:
                if (entry := self._close(number)) and not entry.answer.done():
                    entry.answer.set_result(answer)

    def _fail_open_requests(self, detail: str) -> None:
        lost = EngineLost(self.spec.model, detail)
        for entry in self.open_requests.values():
            if not entry.answer.done():
                entry.answer.set_result(lost)


class Connection:
    """A process's connection to a router, shared by all queues of one client, even after pickling."""

    def __init__(self, router: Any, spec: EngineSpec) -> None:
        self._router, self._spec = router, spec
        self._current: _RouterConnection | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Connection, (self._router, self._spec)

    def current(self) -> _RouterConnection:
        """Return the connection of the running event loop, a new one if the loop has changed."""
        if self._current is None or self._current.loop is not asyncio.get_running_loop():
            self._current = _RouterConnection(self._router, self._spec)
        return self._current


@dataclass(frozen=True)
class EngineClient:
    """The client of one pool.

    Each queue (for example one per step) has at most `window` open requests, and the pool serves queues in round-robin
    order. A client is picklable. A copy in another process counts as another client, and the pool also alternates
    between clients.
    """

    connection: Connection
    window: int
    queue_name: str = ""

    def queue(self, name: str) -> EngineClient:
        """Return a client of the same pool that uses the queue called `name`."""
        return EngineClient(self.connection, self.window, name)

    async def generate(self, request: GenerateRequest) -> Generation:
        """Continue one conversation.

        Raises:
            RequestError: The request cannot be answered, for example because it crashes the engine each time.
            LoadError: The model cannot be loaded.
            EngineLost: The engine's processes crash repeatedly with any request.
        """
        answer = await self._ask(request)
        assert isinstance(answer, Generation)
        return answer

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        """Score one text. Raises the same errors as `generate`."""
        answer = await self._ask(request)
        assert isinstance(answer, TokenLogprobs)
        return answer

    async def classify(self, request: ClassifyRequest) -> Classification:
        """Classify one text, pair or conversation. Raises the same errors as `generate`."""
        answer = await self._ask(request)
        assert isinstance(answer, Classification)
        return answer

    async def _ask(self, request: Request) -> Answer:
        answer = await self.connection.current().ask(self.queue_name, self.window, request)
        if isinstance(answer, Exception):
            raise answer
        return answer
