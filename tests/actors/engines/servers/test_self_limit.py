"""The limit that a server turns out to have is found, in simulated time: nothing depends on the machine's speed."""

from __future__ import annotations

import asyncio
import selectors
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from actors.engines.http.self_limit import DECREASE, SelfLimit

LATENCY = 0.05


class SimulatedTime(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer in place of waiting."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self.now


class _Jumping(selectors.SelectSelector):
    def __init__(self, loop: SimulatedTime) -> None:
        super().__init__()
        self.loop = loop

    def select(self, timeout: float | None = None) -> Any:
        self.loop.now += timeout or 0.0
        return super().select(0)


def simulate(scene: Callable[[], Coroutine[Any, Any, None]]) -> float:
    """Run a scene, and return how many seconds it took."""
    loop = SimulatedTime()
    try:
        loop.run_until_complete(scene())
        return loop.now
    finally:
        loop.close()


class Server:
    """Allows `per_second` requests in each second, and says how long to wait if `tells`."""

    def __init__(self, per_second: int, tells: bool) -> None:
        self.per_second, self.tells = per_second, tells
        self.asked: Counter[int] = Counter()
        self.refused = 0

    async def answer(self) -> tuple[int, str]:
        now = asyncio.get_running_loop().time()
        second = int(now)
        self.asked[second] += 1
        allowed = self.asked[second] <= self.per_second
        self.refused += not allowed
        await asyncio.sleep(LATENCY)
        return (200, "") if allowed else (429, str(second + 1 - now) if self.tells else "")


async def ask(limit: SelfLimit, server: Server) -> None:
    status = 0
    while status != 200:
        async with limit.slot() as sent:
            status, retry_after = await server.answer()
            sent.note(status, retry_after)


@pytest.mark.parametrize("tells", [True, False])
@pytest.mark.parametrize("per_second", [5, 40])
def test_the_rate_of_a_server_is_found(per_second: int, tells: bool) -> None:
    server, count = Server(per_second, tells), per_second * 60

    async def scene() -> None:
        limit, slots = SelfLimit(), asyncio.Semaphore(64)

        async def one() -> None:
            async with slots:
                await ask(limit, server)

        await asyncio.gather(*(one() for _ in range(count)))

    seconds = simulate(scene)
    assert seconds < 60 * 1.8  # more than half of what the server allows is used
    assert server.refused < 64 + count / 20  # the first 64 are sent at once


def test_without_a_refusal_nothing_is_limited() -> None:
    server = Server(10_000, True)

    async def scene() -> None:
        limit = SelfLimit()
        await asyncio.gather(*(ask(limit, server) for _ in range(1000)))
        assert limit.rate is None

    assert simulate(scene) < 2 * LATENCY


def test_requests_in_flight_together_reduce_the_limit_once() -> None:
    async def scene() -> None:
        limit = SelfLimit()
        entered = asyncio.Event()

        async def one(status: int) -> None:
            async with limit.slot() as sent:
                await entered.wait()
                await asyncio.sleep(1)
                sent.note(status, "")

        together = [asyncio.create_task(one(429)) for _ in range(8)]
        await asyncio.sleep(0)
        entered.set()
        await asyncio.gather(*together)
        assert limit.in_flight == pytest.approx(8 * DECREASE)

    simulate(scene)
