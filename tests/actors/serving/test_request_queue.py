"""Who gets which request, and who gets which answer: without Ray and without replicas."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from actors.engine import EngineLost, GenerateRequest, Generation, LoadError, RequestError, Sampling
from actors.serving import request_queue as module
from actors.serving.request_queue import RequestQueue
from actors.serving.spec import ClientId, QueuedRequest


class Clock:
    """Stands in for the module `time`."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def request(number: int) -> GenerateRequest:
    return GenerateRequest(f"r{number}", (("user", f"Why {number}?"),), Sampling())


def asker(name: str, life: str = "first") -> ClientId:
    return ClientId(name, life)


def submit(desk: RequestQueue, name: str, numbers: Sequence[int], lane: str = "", life: str = "first") -> None:
    desk.submit(asker(name, life), [(number, lane, request(number)) for number in numbers])


def numbers(tickets: Sequence[QueuedRequest]) -> list[int]:
    return [ticket.number for ticket in tickets]


def answer(desk: RequestQueue, tickets: Sequence[QueuedRequest]) -> None:
    for ticket in tickets:
        desk.answer(ticket, Generation(ticket.request.id, "Because.", "stop", 2, 1))


def fetched(desk: RequestQueue, name: str) -> dict[int, object]:
    """What has been answered to an asker so far, by number; a number comes once only."""

    async def collect() -> dict[int, object]:
        answers = await asyncio.wait_for(desk.collect(asker(name)), 1)
        assert answers is not None
        assert len(dict(answers)) == len(answers)
        return dict(answers)

    return asyncio.run(collect())


def test_answers_go_to_who_asked_by_its_own_numbers() -> None:
    desk = RequestQueue("m")
    submit(desk, "a", [1, 2])
    submit(desk, "b", [1])
    tickets, alone = desk.take(10, idle=True)
    assert (len(tickets), alone, desk.queued) == (3, False, 0)
    answer(desk, tickets)
    assert {number: reply.id for number, reply in fetched(desk, "a").items()} == {1: "r1", 2: "r2"}  # type: ignore
    assert list(fetched(desk, "b")) == [1]
    assert desk.answered_count == 3


def test_askers_and_lanes_are_served_in_turn() -> None:
    desk = RequestQueue("m")
    submit(desk, "flood", range(100), "x")
    submit(desk, "flood", range(100, 200), "y")
    submit(desk, "small", [1000, 1001, 1002, 1003])
    tickets, _ = desk.take(8, idle=True)
    assert numbers(tickets) == [0, 1000, 100, 1001, 1, 1002, 101, 1003]


def test_suspects_go_to_an_idle_replica_alone_and_others_are_not_starved(clock: Clock) -> None:
    desk = RequestQueue("m")
    submit(desk, "a", range(10))
    tickets, alone = desk.take(4, idle=True)
    desk.replica_died(tickets, alone)
    assert desk.queued == 10
    busy, alone = desk.take(2, idle=False)
    assert (numbers(busy), alone) == ([4, 5], False)
    suspects, alone = desk.take(2, idle=True)
    assert (numbers(suspects), alone) == ([0, 1, 2, 3], True)
    others, alone = desk.take(2, idle=True)
    assert (numbers(others), alone) == ([6, 7], False)


def test_nobody_gets_other_work_while_suspects_wait_for_long(clock: Clock) -> None:
    desk = RequestQueue("m")
    submit(desk, "a", range(10))
    desk.replica_died(*desk.take(4, idle=True))
    clock.now += module.ISOLATION_TIMEOUT + 0.1
    assert desk.take(2, idle=False) == ([], False)
    assert numbers(desk.take(2, idle=True)[0]) == [0, 1, 2, 3]
    assert numbers(desk.take(2, idle=False)[0]) == [4, 5]


def test_the_one_that_kills_is_quarantined_and_all_others_are_answered_once() -> None:
    desk = RequestQueue("m")
    submit(desk, "a", range(20))
    while desk.queued:
        tickets, alone = desk.take(8, idle=True)
        if 13 in numbers(tickets):
            desk.replica_died(tickets, alone)
        else:
            answer(desk, tickets)
    replies = fetched(desk, "a")
    poisoned = replies.pop(13)
    assert isinstance(poisoned, RequestError) and poisoned.reason == "poisoned"
    assert desk.poisoned == ["r13"]
    assert sorted(replies) == [number for number in range(20) if number != 13]
    assert all(isinstance(reply, Generation) for reply in replies.values())


@pytest.mark.parametrize("failure", [LoadError("m", "no such folder"), EngineLost("m", "it is dead")])
def test_a_failure_answers_all_that_wait_that_come_and_that_come_back(failure: LoadError | EngineLost) -> None:
    desk = RequestQueue("m")
    submit(desk, "a", range(6))
    desk.replica_died(*desk.take(2, idle=True))  # two are suspects
    in_flight, _ = desk.take(2, idle=False)
    desk.fail_all(failure)
    desk.replica_died(in_flight[:1], isolated=False)  # other replicas may still be at work, and end
    desk.requeue(in_flight[1:])
    submit(desk, "a", [6])
    submit(desk, "b", [1])
    assert fetched(desk, "a") == dict.fromkeys(range(7), failure)
    assert fetched(desk, "b") == {1: failure}
    assert desk.queued == 0
    assert desk.take(10, idle=True) == ([], False)


def test_another_model_recovers_from_a_failure() -> None:
    desk = RequestQueue("m")
    desk.fail_all(LoadError("m", "no such folder"))
    desk.reset("other")
    submit(desk, "a", [1])
    assert (desk.model, desk.failure) == ("other", None)
    assert numbers(desk.take(1, idle=True)[0]) == [1]


def test_what_comes_back_from_a_replica_is_served_again() -> None:
    desk = RequestQueue("m")
    submit(desk, "a", range(3))
    desk.requeue(desk.take(3, idle=True)[0])
    assert sorted(numbers(desk.take(3, idle=True)[0])) == [0, 1, 2]


def test_absent_askers_are_forgotten_and_those_who_wait_are_not(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COLLECT_TIMEOUT", 0.05)
    desk = RequestQueue("m")
    submit(desk, "gone", range(5))
    submit(desk, "here", [0])

    async def wait() -> None:
        collecting = asyncio.create_task(desk.collect(asker("here")))
        await asyncio.sleep(0)
        clock.now += module.CLIENT_TIMEOUT + 1
        desk.expire_clients()
        await collecting

    asyncio.run(wait())
    assert desk.queued == 1
    tickets, _ = desk.take(10, idle=True)
    assert [ticket.client_id for ticket in tickets] == [asker("here")]
    desk.expire_clients()  # "here" came for answers just now
    answer(desk, tickets)
    assert list(fetched(desk, "here")) == [0]


def test_an_answer_for_somebody_forgotten_is_dropped(clock: Clock) -> None:
    desk = RequestQueue("m")
    submit(desk, "gone", [0])
    tickets, _ = desk.take(1, idle=True)
    clock.now += module.CLIENT_TIMEOUT + 1
    desk.expire_clients()
    answer(desk, tickets)
    assert desk.answered_count == 1


def test_who_was_forgotten_and_comes_again_is_told_to_ask_again_once(clock: Clock) -> None:
    desk = RequestQueue("m")
    submit(desk, "halted", [0])
    clock.now += module.CLIENT_TIMEOUT + 1
    desk.expire_clients()
    assert asyncio.run(desk.collect(asker("halted"))) is None
    submit(desk, "halted", [0])
    answer(desk, desk.take(1, idle=True)[0])
    assert list(fetched(desk, "halted")) == [0]


def test_an_actor_started_again_takes_the_place_of_its_former_life() -> None:
    desk = RequestQueue("m")
    submit(desk, "walker", range(5), life="first")
    submit(desk, "other", [7])
    submit(desk, "walker", range(3), life="second")
    submit(desk, "walker", [9], life="first")  # comes late
    assert desk.queued == 4
    tickets, _ = desk.take(10, idle=True)
    assert {ticket.client_id for ticket in tickets} == {asker("other"), asker("walker", "second")}


def test_what_is_open_is_not_taken_twice_and_what_was_answered_is() -> None:
    desk = RequestQueue("m")
    submit(desk, "a", [0, 1])
    tickets, _ = desk.take(1, idle=True)
    submit(desk, "a", [0, 1, 2])
    assert desk.queued == 2
    answer(desk, tickets)
    submit(desk, "a", [0])  # its answer was lost on the way
    assert desk.queued == 3


def test_an_answer_goes_to_the_last_call_for_it() -> None:
    desk = RequestQueue("m")
    submit(desk, "a", [0])

    async def run() -> list[object]:
        calls = [asyncio.create_task(desk.collect(asker("a"))) for _ in range(2)]
        await asyncio.sleep(0)
        answer(desk, desk.take(1, idle=True)[0])
        got = [await call for call in calls]
        return [*got, await desk.collect(asker("a"))] if got == [[], []] else got

    *lost, got = asyncio.run(run())
    assert not any(lost) and got


def test_replicas_that_wait_are_woken_by_whatever_gives_them_work() -> None:
    desk = RequestQueue("m")
    waker = asyncio.Event()
    desk.subscribe(waker)
    submit(desk, "a", [0, 1])
    assert waker.is_set()
    tickets, alone = desk.take(2, idle=True)
    for wake in (
        lambda: desk.replica_died(tickets, alone),
        lambda: desk.requeue(tickets),
        lambda: desk.fail_all(LoadError("m", "")),
    ):
        waker.clear()
        wake()
        assert waker.is_set()
    desk.unsubscribe(waker)
    waker.clear()
    submit(desk, "a", [2])
    assert not waker.is_set()
