"""Each request is answered once if processes crash, hang or stop; only those that crash or hang the engine are lost."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray

from actors.engine import EngineSpec, LoadError, RequestError
from actors.serving.client import EngineClient
from actors.serving.pool import Pool
from tests.actors.serving.pools import (
    ask,
    ask_all,
    free_cpus,
    groups,
    ids,
    in_router,
    pool_of,
    router_process,
    scripted,
)
from tests.support.timing import until

pytestmark = pytest.mark.usefixtures("ray_local")


FIRST, HELD = [f"Why? {i}" for i in range(30)], [f"Why later? {i}" for i in range(70)]


def holding(folder: Path, text: str = "later") -> EngineSpec:
    """An engine that answers what contains `text` only once the file `go` is in the folder."""
    return scripted(hold=text, release=str(folder / "go"))


def poisoned(answers: list[Any]) -> list[int]:
    return [i for i, each in enumerate(answers) if isinstance(each, RequestError) and each.reason == "poisoned"]


@pytest.mark.case(8)
@pytest.mark.parametrize(("guilty", "replicas"), [([3], 1), ([2, 9], 2)])
def test_exactly_the_requests_that_kill_are_quarantined(guilty: list[int], replicas: int) -> None:
    texts = [f"kill {i}" if i in guilty else f"Why? {i}" for i in range(12)]
    terms = {"min_replicas": replicas, "max_replicas": replicas, "max_ongoing_requests": 4}
    with pool_of(scripted(poison="kill", latency=0.02), **terms) as pool:
        pool.wait_until_ready(60)
        answers = asyncio.run(ask_all(pool.client(), texts))
        assert poisoned(answers) == guilty
        assert len(ids(answers)) == 12 - len(guilty)
        stats = pool.stats()
        assert sorted(stats.poisoned) == sorted(f"r{i}" for i in guilty)
        assert stats.totals.crashes <= 5 * len(guilty)  # log2(4) + 3
        assert all("crashed; restarting" in event.text for event in stats.events)
        assert len(ids(ask(pool.client(), 4))) == 4


def test_a_request_that_hangs_its_engine_is_quarantined_and_all_others_are_answered() -> None:
    texts = ["stuck" if i == 1 else f"Why? {i}" for i in range(6)]
    with pool_of(scripted(hang="stuck", latency=0.05), max_ongoing_requests=2, stall_timeout=0.5) as pool:
        pool.wait_until_ready(60)
        answers = asyncio.run(ask_all(pool.client(), texts))
        assert poisoned(answers) == [1]
        assert len(ids(answers)) == 5
        assert "no progress for 0.5 s" in pool.stats().events[0].text


def test_a_slow_engine_that_makes_progress_is_not_taken_for_a_hanging_one() -> None:
    with pool_of(scripted(latency=1.5), stall_timeout=0.5) as pool:
        assert len(ids(ask(pool.client(), 2))) == 2
        assert pool.stats().totals.crashes == 0


@pytest.mark.case(6)
def test_a_stopped_process_is_killed_and_started_again() -> None:
    with pool_of(scripted(latency=0.05), heartbeat_timeout=3.0, stall_timeout=3.0) as pool:
        pool.wait_until_ready(60)
        (pid,) = pool.stats().pids
        os.kill(pid, signal.SIGSTOP)
        assert len(ids(ask(pool.client(), 10))) == 10
        assert "answered no heartbeat for 3 s" in pool.stats().events[0].text
        until(lambda: not psutil.pid_exists(pid))


@pytest.mark.parametrize(
    ("fault", "detail"),
    [("fail_load", "RuntimeError: the load is scripted to fail"), ("die_load", "crashed 3 times while loading")],
)
def test_a_model_that_never_loads_is_an_error_and_not_a_loop(fault: str, detail: str) -> None:
    with pool_of(scripted(**{fault: True})) as pool:
        with pytest.raises(LoadError, match=detail):
            pool.wait_until_ready(200)
        work = pool.stats().totals
        answers = ask(pool.client(), 3)
        assert all(isinstance(answer, LoadError) for answer in answers)
        assert (pool.stats().totals.crashes, pool.stats().totals.loads) == (work.crashes, 0)
    until(lambda: free_cpus() == 4)


@pytest.mark.case(7)
def test_a_killed_replica_costs_only_what_was_in_flight(tmp_path: Path) -> None:
    async def run(pool: Pool) -> list[Any]:
        asking = asyncio.create_task(ask_all(pool.client(), FIRST + HELD))
        await asyncio.to_thread(until, lambda: pool.stats().totals.requests == len(FIRST))
        os.kill(pool.stats().pids[0], signal.SIGKILL)
        await asyncio.to_thread(until, lambda: pool.stats().totals.crashes == 1)
        (tmp_path / "go").touch()
        return await asking

    with pool_of(holding(tmp_path), max_ongoing_requests=4) as pool:
        pool.wait_until_ready(60)
        assert ids(asyncio.run(run(pool))) == [f"r{i}" for i in range(100)]
        stats = pool.stats()
        # an answer is counted where it arrives: 100 of them mean that none was asked for again after it had come
        assert (stats.totals.requests, stats.totals.crashes, stats.totals.loads) == (100, 1, 2)
        assert stats.poisoned == ()


class Asking:
    """An actor that asks, and is started again when it is killed."""

    def pid(self) -> int:
        return os.getpid()

    def ask(self, client: EngineClient, lanes: int) -> None:
        async def all_lanes() -> None:
            await asyncio.gather(*(ask_all(client.queue(str(n)), ["Why?"] * 5) for n in range(lanes)))

        asyncio.run(all_lanes())


def test_what_a_killed_asker_had_waiting_is_not_asked_for_nobody(tmp_path: Path) -> None:
    def lives() -> set[str]:
        return in_router("pool", lambda router: {client.incarnation for client in router._queue._mailboxes})

    actor: Any = ray.remote(num_cpus=0, max_restarts=1, max_task_retries=1)(Asking)
    with pool_of(holding(tmp_path, ""), max_ongoing_requests=4) as pool:
        pool.wait_until_ready(60)
        asking = actor.remote()
        process = psutil.Process(ray.get(asking.pid.remote()))
        asking.ask.remote(pool.client(), 20)
        until(lambda: pool.stats().queued == 96)
        first = lives()
        process.kill()
        until(lambda: lives() != first)
        assert len(lives()) == 1
        assert pool.stats().queued <= 100
        ray.kill(asking)


def test_a_restarted_process_answers_with_the_model_that_is_asked_for() -> None:
    with pool_of(scripted("first")) as pool:
        pool.wait_until_ready(60)
        pool.swap_model(scripted("second"))
        before = ask(pool.client(), 3)
        os.kill(pool.stats().pids[0], signal.SIGKILL)
        assert ask(pool.client(), 3) == before


def test_a_process_that_starts_again_during_a_reload_takes_the_new_model() -> None:
    with pool_of(scripted("second"), "reference") as reference:
        expected = ask(reference.client(), 3)
    with pool_of(scripted("first", load_seconds=1.0)) as pool:
        pool.wait_until_ready(60)
        os.kill(pool.stats().pids[0], signal.SIGKILL)
        until(lambda: pool.stats().totals.crashes == 1)
        pool.swap_model(scripted("second"))
        assert ask(pool.client(), 3) == expected


def test_a_killed_router_starts_again_and_all_are_answered(tmp_path: Path) -> None:
    async def run(pool: Pool) -> list[Any]:
        asking = asyncio.create_task(ask_all(pool.client(), FIRST + HELD))
        await asyncio.to_thread(until, lambda: pool.stats().totals.requests == len(FIRST))
        router.kill()
        (tmp_path / "go").touch()
        return await asking

    with pool_of(holding(tmp_path), max_ongoing_requests=8) as pool:
        pool.wait_until_ready(60)
        router, (replica,) = router_process("pool"), pool.stats().pids
        assert ids(asyncio.run(run(pool))) == [f"r{i}" for i in range(100)]
        until(lambda: not psutil.pid_exists(replica))
        assert pool.stats().totals.requests < 100  # those answered before were not asked for again
        assert len(groups("pool")) == 1
    until(lambda: free_cpus() == 4 and not groups("pool"))


def test_a_router_killed_after_a_swap_answers_with_the_model_that_is_asked_for() -> None:
    with pool_of(scripted("first")) as pool:
        pool.wait_until_ready(60)
        pool.swap_model(scripted("second"))
        before = ask(pool.client(), 3)
        router_process("pool").kill()
        assert ask(pool.client(), 3) == before
