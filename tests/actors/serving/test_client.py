"""A client's window, with a router that is not an actor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import ray

from actors.engine import Answer, EngineSpec, GenerateRequest, Generation, Sampling
from actors.serving.client import Connection, EngineClient

WINDOW = 3


class FakeRouter:
    """Answers requests when a test asks for it."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.answers: asyncio.Queue[tuple[int, Answer]] = asyncio.Queue()
        self.submit = SimpleNamespace(remote=self._submit)
        self.collect = SimpleNamespace(remote=self._collect)

    def _submit(self, client_id: object, spec: EngineSpec, requests: Sequence[tuple[int, str, Any]]) -> None:
        self.numbers += [number for number, _, _ in requests]

    async def _collect(self, client_id: object) -> list[tuple[int, Answer]]:
        return [await self.answers.get()]

    def answer(self, number: int) -> None:
        """Answer a request."""
        self.answers.put_nowait((number, Generation(str(number), "Yes.", "stop", 1, 1)))

    def has_sent(self, count: int) -> bool:
        """Return whether exactly this number of requests has arrived."""
        return len(self.numbers) == count

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until a condition holds."""
        while not holds():
            await asyncio.sleep(0.001)


def ask(router: FakeRouter, count: int) -> list[asyncio.Task[Generation]]:
    """Start requests of one queue."""
    client = EngineClient(Connection(router, EngineSpec("scripted", "m")), WINDOW)
    requests = [GenerateRequest(str(number), (), Sampling()) for number in range(count)]
    return [asyncio.create_task(client.generate(request)) for request in requests]


@pytest.fixture(autouse=True)
def no_actor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(get_actor_id=lambda: None))


def test_requests_beyond_the_window_are_sent_in_turn() -> None:
    async def scenario() -> None:
        router = FakeRouter()
        tasks = ask(router, 2 * WINDOW)
        await router.until(lambda: len(router.numbers) == WINDOW)
        for number in range(2 * WINDOW):
            router.answer(number)
            assert (await tasks[number]).id == str(number)
            await router.until(partial(router.has_sent, min(2 * WINDOW, WINDOW + number + 1)))
        assert router.numbers == [*range(2 * WINDOW)]

    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_a_cancelled_request_leaves_its_place_to_another() -> None:
    async def scenario() -> None:
        router = FakeRouter()
        tasks = ask(router, WINDOW + 2)
        await router.until(lambda: len(router.numbers) == WINDOW)
        tasks[WINDOW].cancel()  # waits for a place
        tasks[0].cancel()  # has one
        await router.until(lambda: len(router.numbers) == WINDOW + 1)
        assert router.numbers[-1] == WINDOW + 1
        for number in router.numbers[1:]:
            router.answer(number)
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(each, asyncio.CancelledError) for each in done] == [True, False, False, True, False]

    asyncio.run(asyncio.wait_for(scenario(), 20))
