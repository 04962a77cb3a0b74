"""What arrives close together is fetched together, and nothing twice."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from actors.serving.queueing.queues import CoalescingQueue, FairQueue


def test_items_that_come_close_together_travel_together() -> None:
    async def run() -> list[int]:
        outbox: CoalescingQueue[int] = CoalescingQueue(0.05)
        taking = asyncio.create_task(outbox.take())
        await asyncio.sleep(0)
        for item in range(3):
            outbox.put([item])
            await asyncio.sleep(0.001)
        return await taking

    assert asyncio.run(run()) == [0, 1, 2]


def test_what_was_taken_is_gone_and_the_next_take_waits() -> None:
    async def run() -> tuple[list[int], list[int], float]:
        outbox: CoalescingQueue[int] = CoalescingQueue(0.0)
        outbox.put([1, 2])
        first, started = await outbox.take(), time.monotonic()
        second = await outbox.take(timeout=0.05)
        return first, second, time.monotonic() - started

    first, second, waited = asyncio.run(run())
    assert (first, second) == ([1, 2], [])
    assert waited >= 0.04


def test_putting_nothing_wakes_nobody() -> None:
    async def run() -> list[int]:
        outbox: CoalescingQueue[int] = CoalescingQueue(0.0)
        outbox.put([])
        return await outbox.take(timeout=0.02)

    assert asyncio.run(run()) == []


def test_two_takers_share_what_there_is_without_doubles() -> None:
    async def run() -> list[list[int]]:
        outbox: CoalescingQueue[int] = CoalescingQueue(0.01)
        takers = [asyncio.create_task(outbox.take(0.1)) for _ in range(2)]
        await asyncio.sleep(0)
        outbox.put(range(10))
        return await asyncio.gather(*takers)

    assert sorted(item for items in asyncio.run(run()) for item in items) == list(range(10))


def test_a_taker_that_is_cancelled_takes_nothing_away() -> None:
    async def run() -> list[int]:
        outbox: CoalescingQueue[int] = CoalescingQueue(0.05)
        outbox.put([1])
        taking = asyncio.create_task(outbox.take())
        await asyncio.sleep(0.01)  # it lingers
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
        return await outbox.take(timeout=0.2)

    assert asyncio.run(run()) == [1]


def filled(**lanes: int) -> FairQueue[tuple[str, int]]:
    """Names are ASKER_LANE, numbers how many items wait there. Items are (name, position)."""
    turns: FairQueue[tuple[str, int]] = FairQueue()
    for name, count in lanes.items():
        asker, _, lane = name.partition("_")
        for position in range(count):
            turns.put(asker, lane, (name, position))
    return turns


def names(items: list[tuple[str, int]]) -> list[str]:
    return [name for name, _ in items]


def test_a_lane_is_first_in_first_out() -> None:
    assert [position for _, position in filled(a_x=5).take(5)] == [0, 1, 2, 3, 4]


def test_askers_take_turns_whatever_the_length_of_their_queues() -> None:
    turns = filled(flood_x=1000, small_x=3, other_x=5)
    assert names(turns.take(9)) == ["flood_x", "small_x", "other_x"] * 3
    assert Counter(names(turns.take(10))) == {"flood_x": 8, "other_x": 2}


def test_an_asker_gains_nothing_by_having_many_lanes() -> None:
    turns = filled(**{f"many_{lane}": 50 for lane in range(10)}, one_x=50)
    assert Counter(name.partition("_")[0] for name in names(turns.take(40))) == {"many": 20, "one": 20}


def test_the_lanes_of_an_asker_take_turns() -> None:
    turns = filled(a_long=100, a_short=2, a_middle=4)
    assert names(turns.take(6)) == ["a_long", "a_short", "a_middle"] * 2
    assert Counter(names(turns.take(6))) == {"a_long": 4, "a_middle": 2}


def test_who_comes_late_is_served_in_the_next_round() -> None:
    turns = filled(flood_x=100)
    turns.take(7)
    turns.put("late", "x", ("late_x", 0))
    assert "late_x" in names(turns.take(2))


def test_no_more_is_taken_than_there_is() -> None:
    turns = filled(a_x=2, b_x=1)
    assert len(turns) == 3
    assert len(turns.take(10)) == 3
    assert (len(turns), turns.take(1), list(turns)) == (0, [], [])


def test_what_an_asker_has_waiting_can_be_dropped() -> None:
    turns = filled(gone_x=5, gone_y=5, here_x=2)
    turns.drop("gone")
    turns.drop("unknown")
    assert len(turns) == 2
    assert names(list(turns)) == names(turns.take(9)) == ["here_x", "here_x"]
