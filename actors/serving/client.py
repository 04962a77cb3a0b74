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
from actors.serving.spec import Asker

LIFE = uuid.uuid4().hex  # of this process
LINGER_SECONDS = 0.002
RETRIES = 5  # after the loss of the router, which Ray starts again
RETRY_SECONDS = 1.0


@dataclass(slots=True)
class _Open:
    """A request without an answer yet."""

    lane: Hashable
    request: Request
    answer: asyncio.Future[Answer]


class _Line:
    """One event loop's connection to a router."""

    def __init__(self, router: Any, spec: EngineSpec) -> None:
        self.loop = asyncio.get_running_loop()
        self.router, self.spec = router, spec
        home: str = ray.get_runtime_context().get_actor_id() or LIFE
        self.asker = Asker(home, LIFE, uuid.uuid4().hex)
        self.numbers = itertools.count()
        self.open: dict[int, _Open] = {}
        self.unsent: list[int] = []
        self.bounds: dict[Hashable, asyncio.Semaphore] = {}
        self.sender: asyncio.Task[None] | None = None
        self.fetcher: asyncio.Task[None] | None = None

    async def ask(self, lane: Hashable, request: Request) -> Answer:
        """The answer to one request."""
        number = next(self.numbers)
        entry = _Open(lane, request, self.loop.create_future())
        self.open[number] = entry
        self.unsent.append(number)
        if self.sender is None or self.sender.done():
            self.sender = self.loop.create_task(self._send())
        if self.fetcher is None or self.fetcher.done():
            self.fetcher = self.loop.create_task(self._fetch())
        try:
            return await entry.answer
        finally:
            self.open.pop(number, None)

    async def _send(self) -> None:
        while self.unsent:
            await asyncio.sleep(LINGER_SECONDS)
            numbers, self.unsent = self.unsent, []
            entries = [(number, self.open[number]) for number in numbers if number in self.open]
            requests = [(number, entry.lane, entry.request) for number, entry in entries]
            self.router.submit.remote(self.asker, self.spec, requests)

    async def _fetch(self) -> None:
        losses = 0
        while self.open:
            try:
                answers: list[tuple[int, Answer]] | None = await self.router.collect.remote(self.asker)
                losses = 0 if answers else losses
            except RayActorError as error:
                losses += 1
                if losses > RETRIES or not ray.is_initialized():
                    self._give_up(error)
                    return
                await asyncio.sleep(RETRY_SECONDS)
                answers = None
            if answers is None:  # the router has forgotten all that is open
                self.unsent = list(self.open)
                self.sender = self.loop.create_task(self._send())
                continue
            for number, answer in answers:
                if (entry := self.open.get(number)) and not entry.answer.done():
                    entry.answer.set_result(answer)
            await asyncio.sleep(0)  # those answered leave `open` before it is looked at

    def _give_up(self, error: RayActorError) -> None:
        lost = EngineLost(self.spec.model, f"its router is gone: {' '.join(str(error).split())}")
        for entry in self.open.values():
            if not entry.answer.done():
                entry.answer.set_result(lost)


class Connection:
    """A process's way to a router. Lanes of one client share it, also after they have travelled together."""

    def __init__(self, router: Any, spec: EngineSpec) -> None:
        self._router, self._spec = router, spec
        self._line: _Line | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Connection, (self._router, self._spec)

    def line(self) -> _Line:
        """The line of the running event loop; an earlier loop's is gone with it."""
        if self._line is None or self._line.loop is not asyncio.get_running_loop():
            self._line = _Line(self._router, self._spec)
        return self._line


@dataclass(frozen=True)
class EngineClient:
    """Asks one pool. Each lane (a step, say) has at most `window` open requests and is served in turn with others.

    Picklable; a copy in another process is another asker, and the pool is fair between askers, too.
    """

    connection: Connection
    window: int
    name: str = ""

    def lane(self, name: str) -> EngineClient:
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
        line = self.connection.line()
        async with line.bounds.setdefault(self.name, asyncio.Semaphore(self.window)):
            answer = await line.ask(self.name, request)
        if isinstance(answer, Exception):
            raise answer
        return answer
