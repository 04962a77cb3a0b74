"""What arrives close together is fetched together, and nothing twice."""

from __future__ import annotations

import asyncio
import time

from actors.outbox import Outbox


def test_items_that_come_close_together_travel_together() -> None:
    async def run() -> list[int]:
        outbox: Outbox[int] = Outbox(0.05)
        taking = asyncio.create_task(outbox.take())
        await asyncio.sleep(0)
        for item in range(3):
            outbox.put([item])
            await asyncio.sleep(0.001)
        return await taking

    assert asyncio.run(run()) == [0, 1, 2]


def test_what_was_taken_is_gone_and_the_next_take_waits() -> None:
    async def run() -> tuple[list[int], list[int], float]:
        outbox: Outbox[int] = Outbox(0.0)
        outbox.put([1, 2])
        first, started = await outbox.take(), time.monotonic()
        second = await outbox.take(timeout=0.05)
        return first, second, time.monotonic() - started

    first, second, waited = asyncio.run(run())
    assert (first, second) == ([1, 2], [])
    assert waited >= 0.04


def test_putting_nothing_wakes_nobody() -> None:
    async def run() -> list[int]:
        outbox: Outbox[int] = Outbox(0.0)
        outbox.put([])
        return await outbox.take(timeout=0.02)

    assert asyncio.run(run()) == []


def test_two_takers_share_what_there_is_without_doubles() -> None:
    async def run() -> list[list[int]]:
        outbox: Outbox[int] = Outbox(0.01)
        takers = [asyncio.create_task(outbox.take(0.1)) for _ in range(2)]
        await asyncio.sleep(0)
        outbox.put(range(10))
        return await asyncio.gather(*takers)

    assert sorted(item for items in asyncio.run(run()) for item in items) == list(range(10))


def test_a_taker_that_is_cancelled_takes_nothing_away() -> None:
    async def run() -> list[int]:
        outbox: Outbox[int] = Outbox(0.05)
        outbox.put([1])
        taking = asyncio.create_task(outbox.take())
        await asyncio.sleep(0.01)  # it lingers
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
        return await outbox.take(timeout=0.2)

    assert asyncio.run(run()) == [1]
