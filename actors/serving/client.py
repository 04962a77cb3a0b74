"""How any worker asks a pool: requests gather for a moment and travel together, answers are fetched as they come."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Hashable
from dataclasses import dataclass
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
from actors.serving.spec import ClientId

INCARNATION = uuid.uuid4().hex  # of this process
BATCHING_WINDOW_SECONDS = 0.002
ROUTER_RETRIES = 5  # after the loss of the router, which Ray starts again
ROUTER_RETRY_SECONDS = 1.0


@dataclass(slots=True)
class _OpenRequest:
    """A request without an answer yet."""

    queue_name: Hashable
    request: Request
    answer: asyncio.Future[Answer]


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
        self.semaphores: dict[Hashable, asyncio.Semaphore] = {}
        self.sender: asyncio.Task[None] | None = None
        self.fetcher: asyncio.Task[None] | None = None

    async def ask(self, queue_name: Hashable, request: Request) -> Answer:
        """The answer to one request."""
        number = next(self.numbers)
        entry = _OpenRequest(queue_name, request, self.loop.create_future())
        self.open_requests[number] = entry
        self.unsent.append(number)
        if self.sender is None or self.sender.done():
            self.sender = self.loop.create_task(self._send())
        if self.fetcher is None or self.fetcher.done():
            self.fetcher = self.loop.create_task(self._fetch())
        try:
            return await entry.answer
        finally:
            self.open_requests.pop(number, None)

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
                    self._fail_open_requests(error)
                    return
                await asyncio.sleep(ROUTER_RETRY_SECONDS)
                answers = None
            if answers is None:  # the router has forgotten all that is open
                self.unsent = list(self.open_requests)
                self.sender = self.loop.create_task(self._send())
                continue
            for number, answer in answers:
                if (entry := self.open_requests.get(number)) and not entry.answer.done():
                    entry.answer.set_result(answer)
            await asyncio.sleep(0)  # those answered leave `open` before it is looked at

    def _fail_open_requests(self, error: RayActorError) -> None:
        lost = EngineLost(self.spec.model, f"its router is gone: {' '.join(str(error).split())}")
        for entry in self.open_requests.values():
            if not entry.answer.done():
                entry.answer.set_result(lost)


class Connection:
    """A process's way to a router. Lanes of one client share it, also after they have travelled together."""

    def __init__(self, router: Any, spec: EngineSpec) -> None:
        self._router, self._spec = router, spec
        self._current: _RouterConnection | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Connection, (self._router, self._spec)

    def current(self) -> _RouterConnection:
        """The line of the running event loop; an earlier loop's is gone with it."""
        if self._current is None or self._current.loop is not asyncio.get_running_loop():
            self._current = _RouterConnection(self._router, self._spec)
        return self._current


@dataclass(frozen=True)
class EngineClient:
    """Asks one pool. Each lane (a step, say) has at most `window` open requests and is served in turn with others.

    Picklable; a copy in another process is another asker, and the pool is fair between askers, too.
    """

    connection: Connection
    window: int
    queue_name: str = ""

    def queue(self, name: str) -> EngineClient:
        """A client of the same pool with a queue of its own."""
        return EngineClient(self.connection, self.window, name)

    async def generate(self, request: GenerateRequest) -> Generation:
        """Continue one conversation.

        RequestError if it can not be answered (also if it kills its engine each time), LoadError if the model can not
        be loaded, EngineLost if processes die again and again whatever is asked.
        """
        answer = await self._ask(request)
        assert isinstance(answer, Generation)
        return answer

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        """Score one text; errors as of `generate`."""
        answer = await self._ask(request)
        assert isinstance(answer, TokenLogprobs)
        return answer

    async def classify(self, request: ClassifyRequest) -> Classification:
        """Judge one text, pair or conversation; errors as of `generate`."""
        answer = await self._ask(request)
        assert isinstance(answer, Classification)
        return answer

    async def _ask(self, request: Request) -> Answer:
        connection = self.connection.current()
        async with connection.semaphores.setdefault(self.queue_name, asyncio.Semaphore(self.window)):
            answer = await connection.ask(self.queue_name, request)
        if isinstance(answer, Exception):
            raise answer
        return answer
