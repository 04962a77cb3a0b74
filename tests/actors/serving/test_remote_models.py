"""All models on servers share one process: it serves them like processes of their own, and ends with the last."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import psutil
import pytest
import ray

from actors.engine import EngineLost, EngineSpec, LoadError
from actors.serving.pool import Pool
from actors.serving.replica_handle import NAMESPACE
from tests.actors.serving.pools import ask, ask_all, free_cpus, groups, ids, pool_of
from tests.support.timing import until

pytestmark = pytest.mark.usefixtures("ray_local")
HOST = "run/host"
TEXTS = [f"Why? {i}" for i in range(8)]
SERVING = ("ray::RemoteModels", "ray::Router", "ray::Replica")


def served(url: str, **options: Any) -> EngineSpec:
    return EngineSpec("http", "stub", options=(("url", url), *options.items()))


@contextmanager
def pools_at(url: str, count: int, shared: bool = False, **changes: Any) -> Generator[list[Pool]]:
    """Pools of models at one address, all of them ready."""
    with ExitStack() as stack:
        terms = {"host": HOST, "max_ongoing_requests": 2, **changes}
        pools = [stack.enter_context(pool_of(served(url), f"run/m{i}", shared, **terms)) for i in range(count)]
        for pool in pools:
            pool.wait_until_ready(60)
        yield pools


def processes() -> list[psutil.Process]:
    """The processes that serve models."""
    found: list[psutil.Process] = []
    for process in psutil.Process().children(recursive=True):
        try:
            found += [process] if " ".join(process.cmdline()).startswith(SERVING) else []
        except psutil.Error:
            continue
    return found


def answered(pools: Sequence[Pool]) -> int:
    return sum(pool.stats().totals.requests for pool in pools)


async def ask_each(pools: Sequence[Pool]) -> list[list[str]]:
    """The ids of what each pool answers."""
    return [ids(answers) for answers in await asyncio.gather(*(ask_all(pool.client(), TEXTS) for pool in pools))]


def test_twenty_five_models_share_a_process_and_outlive_it(stub: Callable[..., str]) -> None:
    async def run(pools: Sequence[Pool], process: psutil.Process) -> list[list[str]]:
        asking = asyncio.create_task(ask_each(pools))
        await asyncio.to_thread(until, lambda: answered(pools) >= 50)
        assert not asking.done()
        process.kill()
        return await asking

    with pools_at(stub("--latency", "1.0"), 25) as pools:
        (process,) = processes()
        assert {pool.stats().pids for pool in pools} == {(process.pid,)}
        assert free_cpus() == 4 and not groups("run")  # they reserve nothing
        assert asyncio.run(run(pools, process)) == [[f"r{i}" for i in range(len(TEXTS))]] * 25
        (other,) = processes()
        assert other.pid != process.pid
        assert answered(pools) < 25 * len(TEXTS)  # those answered before were not asked for again
        told = [event.text for pool in pools for event in pool.stats().events]
        assert told == ["the process of all models on servers crashed; it was started again"]
    until(lambda: not processes())


def test_models_do_not_wait_for_each_other_nor_share_their_numbers(stub: Callable[..., str]) -> None:
    with pools_at(stub(), 2) as (one, other), pool_of(served("http://127.0.0.1:9/v1"), "run/gone", host=HOST) as gone:
        with pytest.raises(LoadError, match="does not answer"):
            gone.wait_until_ready(60)
        client = pickle.loads(pickle.dumps(one.client()))
        assert len(ids(ask(client, 3))) == 3
        assert [pool.stats().totals.requests for pool in (one, other, gone)] == [3, 0, 0]
        assert all(isinstance(answer, LoadError) for answer in ask(gone.client(), 2))
        assert len(ids(ask(other.client(), 2))) == 2


def test_a_closed_pool_says_so_while_others_go_on_and_may_be_opened_again(stub: Callable[..., str]) -> None:
    with pools_at(stub(), 1) as (other,):
        with pool_of(served(stub()), "run/closed", host=HOST) as pool:
            client = pool.client()
            assert len(ids(ask(client, 2))) == 2
        (lost,) = ask(client)
        assert isinstance(lost, EngineLost) and "its pool is closed" in str(lost)
        with pool_of(served(stub()), "run/closed", host=HOST) as pool:
            assert len(ids(ask(pool.client(), 2))) == 2
            assert pool.stats().pids == other.stats().pids


def test_a_replica_that_hangs_is_replaced_without_its_process(stub: Callable[..., str]) -> None:
    def hang(host: Any) -> None:
        (replica,) = host._routers["run/m0"]._replica_set.replicas
        replica._replica._replica._engine.progress = lambda: 0

    with pools_at(stub("--latency", "3.0"), 1, stall_timeout=1.0) as (pool,):
        before = pool.stats().pids
        ray.get(ray.get_actor(HOST, namespace=NAMESPACE).__ray_call__.remote(hang))
        assert len(ids(ask(pool.client(), 2))) == 2
        stats = pool.stats()
        assert (stats.pids, stats.totals.crashes, stats.totals.loads) == (before, 1, 2)
        assert "no progress for" in stats.events[0].text


def test_a_stopped_process_is_killed_and_started_again(stub: Callable[..., str]) -> None:
    with pools_at(stub(), 1, heartbeat_timeout=3.0, stall_timeout=3.0) as (pool,):
        (pid,) = pool.stats().pids
        os.kill(pid, signal.SIGSTOP)
        assert len(ids(ask(pool.client(), 10))) == 10
        until(lambda: not psutil.pid_exists(pid))


def test_shared_pools_end_with_their_last_driver(stub: Callable[..., str]) -> None:
    with pools_at(stub(), 1, shared=True) as (one,), pools_at(stub(), 1, shared=True) as (other,):
        other.close()
        assert len(ids(ask(one.client(), 3))) == 3
        assert Counter(map(str, processes())).total() == 1
    until(lambda: not processes())
