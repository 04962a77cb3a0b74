"""Batches are made of what waits together and of like size; one failure does not end the worker."""

from __future__ import annotations

import asyncio

import pytest

from actors.engine import RequestError
from actors.inference.micro_batcher import TARGET_SECONDS, MicroBatcher, Pace, PendingCall, take_batch


def run(items):
    return list(items)


def jobs(*sizes, group=None):
    return [PendingCall(run, size, group, size) for size in sizes]


def sizes(batch):
    return sorted(job.size for job in batch)


def test_the_oldest_job_leaves_with_those_closest_in_size():
    waiting = jobs(10, 90, 11, 50, 12, 9)
    assert sizes(take_batch(waiting, max_rows=4, max_size=1000)) == [9, 10, 11, 12]
    assert sizes(waiting) == [50, 90]


def test_a_batch_stays_within_rows_times_largest_size():
    waiting = jobs(10, 10, 10, 10)
    assert len(take_batch(waiting, max_rows=32, max_size=30)) == 3
    assert len(waiting) == 1


def test_a_job_larger_than_the_bound_runs_alone():
    waiting = jobs(100, 100)
    assert len(take_batch(waiting, max_rows=32, max_size=30)) == 1


def test_groups_do_not_mix():
    waiting = jobs(1, 1, group="a") + jobs(1, group="b")
    assert len(take_batch(waiting, max_rows=32, max_size=30)) == 2
    assert [job.group for job in waiting] == ["b"]


def test_calls_that_overlap_share_batches():
    batches = []

    def record(items):
        batches.append(len(items))
        return [item * 2 for item in items]

    async def submit():
        batcher = MicroBatcher(max_rows=8, max_size=1000)
        try:
            return await asyncio.gather(*(batcher.submit(record, i, None, 1) for i in range(32)))
        finally:
            batcher.close()

    assert asyncio.run(submit()) == [2 * i for i in range(32)]
    assert max(batches) == 8 and len(batches) <= 8


def test_a_failed_batch_fails_its_own_calls_only():
    def fail(items):
        raise ZeroDivisionError("broken")

    async def submit():
        batcher = MicroBatcher(max_rows=8, max_size=1000)
        with pytest.raises(ZeroDivisionError, match="broken"):
            await batcher.submit(fail, 1, None, 1)
        assert await batcher.submit(run, 1, None, 1) == 1
        batcher.close()

    asyncio.run(submit())


@pytest.mark.case(10)
def test_a_batch_without_memory_is_done_in_halves_and_later_ones_are_smaller():
    batches = []

    def run_three(items):
        batches.append(len(items))
        if len(items) > 3:
            raise MemoryError("too many")
        return [item * 2 for item in items]

    async def submit():
        batcher = MicroBatcher(max_rows=16, max_size=1000)
        try:
            first = await asyncio.gather(*(batcher.submit(run_three, i, None, 10) for i in range(16)))
            assert batches == [16, 8, 4, 2, 2, 4, 2, 2, 8, 4, 2, 2, 4, 2, 2]
            return first + await asyncio.gather(*(batcher.submit(run_three, i, None, 10) for i in range(16, 24)))
        finally:
            batcher.close()

    assert asyncio.run(submit()) == [2 * i for i in range(24)]
    assert max(batches[15:]) <= 3


def test_an_item_that_is_too_much_alone_is_an_error_of_its_own():
    def no_sevens(items):
        if 7 in items:
            raise MemoryError("seven")
        return list(items)

    async def submit():
        batcher = MicroBatcher(max_rows=16, max_size=1000)
        try:
            return await asyncio.gather(
                *(batcher.submit(no_sevens, i, None, 10) for i in range(16)), return_exceptions=True
            )
        finally:
            batcher.close()

    answers = asyncio.run(submit())
    assert isinstance(answers[7], RequestError) and answers[7].reason == "out_of_memory"
    assert [answer for answer in answers if answer is not answers[7]] == [i for i in range(16) if i != 7]


def passes(seconds_of, count: int = 8) -> list[int]:
    """The tokens of the passes of a device, given the seconds that a pass takes."""
    pace, sizes = Pace(), []
    for _ in range(count):
        sizes.append(pace.max_tokens)
        pace.record(sizes[-1], seconds_of(sizes[-1]))
    return sizes


def test_passes_grow_on_a_quick_device_and_shrink_on_a_slow_one():
    quick, slow = passes(lambda tokens: tokens / 1e6), passes(lambda tokens: tokens / 50)
    assert quick == sorted(quick) and quick[-1] > 1e6
    assert slow[1:] == [50 * TARGET_SECONDS] * 7


def test_the_pace_limits_rows_x_widest_pass_and_never_stops_a_row():
    pace = Pace()
    pace.record(1000, 10 * TARGET_SECONDS)  # 100 tokens per pass from now on
    waiting = [PendingCall(run, i, None, 40, 30, pace) for i in range(8)] + [PendingCall(run, 8, None, 900, 800, pace)]
    taken = [len(take_batch(waiting, max_rows=32, max_size=10_000)) for _ in range(4)]
    assert taken == [3, 3, 2, 1]
