"""Pools on a real Ray: requests reach replicas in turn, answers and errors come back as what they are."""

from __future__ import annotations

import asyncio
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import ray

from actors.engine import (
    ClassifyRequest,
    EngineLost,
    EngineSpec,
    GenerateRequest,
    LoadError,
    LogprobRequest,
    RequestError,
)
from actors.serving.pool import Pool
from actors.serving.replica_handle import NAMESPACE
from actors.serving.spec import ReplicaResources
from cluster.connection.session import Session
from tests.actors.serving.pools import SAMPLING, ask, ask_all, free_cpus, groups, ids, pool_of, requests, scripted
from tests.support.timing import until

pytestmark = pytest.mark.usefixtures("ray_local")
ROOT = Path(__file__).parents[3]


def open_requests(pool: Pool) -> int:
    stats = pool.stats()
    return stats.in_flight + stats.queued


def test_every_request_is_answered_once_and_work_is_shared() -> None:
    with pool_of(scripted(latency=0.01), min_replicas=2, max_replicas=2, max_ongoing_requests=8) as pool:
        pool.wait_until_ready(60)
        replies = ask(pool.client(), 100)
        assert ids(replies) == [f"r{i}" for i in range(100)]
        stats = pool.stats()
        assert (stats.replicas, len(set(stats.pids)), stats.queued, stats.in_flight) == (2, 2, 0, 0)
        assert (stats.totals.requests, stats.totals.loads, stats.totals.crashes) == (100, 2, 0)
        assert stats.totals.tokens_out == sum(reply.tokens_out for reply in replies)
        assert stats.totals.busy_seconds >= 100 * 0.01 / 8  # of both together: one alone would need half of that


def test_replies_do_not_depend_on_the_number_of_replicas() -> None:
    with pool_of(scripted(), "one") as one, pool_of(scripted(), "two", min_replicas=2, max_replicas=2) as two:
        assert ask(one.client(), 20) == ask(two.client(), 20)


def test_a_client_travels_to_workers() -> None:
    request = GenerateRequest("r0", (("user", "Why? 0"),), SAMPLING)

    @ray.remote(num_cpus=0.1)
    def work(client: Any) -> Any:
        return asyncio.run(client.generate(request))

    with pool_of(scripted()) as pool:
        client = pickle.loads(pickle.dumps(pool.client()))
        assert [ray.get(work.remote(client))] == ask(client)


def test_requests_in_flight_are_bounded() -> None:
    with pool_of(scripted(latency=0.1), max_ongoing_requests=2) as pool:
        pool.wait_until_ready(60)
        ask(pool.client(), 10)
        assert pool.stats().totals.busy_seconds >= 0.45


def test_open_requests_of_a_lane_are_bounded_by_the_window(tmp_path: Path) -> None:
    async def run(client: Any) -> int:
        asking = asyncio.create_task(ask_all(client, [f"Why? {i}" for i in range(20)]))
        await asyncio.to_thread(until, lambda: open_requests(pool) == client.window)
        await asyncio.sleep(0.3)  # time for more, which must not come
        assert await asyncio.to_thread(open_requests, pool) == client.window
        (tmp_path / "go").touch()
        return len(ids(await asking))

    with pool_of(scripted(release=str(tmp_path / "go")), max_ongoing_requests=4) as pool:
        pool.wait_until_ready(60)
        assert asyncio.run(run(pool.client())) == 20


def test_a_refused_request_is_an_error_of_its_own_row_only() -> None:
    with pool_of(scripted(refuse="Why? 3")) as pool:
        replies = ask(pool.client(), 6)
        assert isinstance(replies[3], RequestError) and replies[3].reason == "refused"
        assert sum(isinstance(reply, Exception) for reply in replies) == 1


def test_a_model_that_can_not_load_is_one_clear_error(tmp_path: Path) -> None:
    with pool_of(EngineSpec("transformers", str(tmp_path / "gone"))) as pool:
        with pytest.raises(LoadError) as caught:
            pool.wait_until_ready(60)
        assert str(caught.value).endswith(f"FileNotFoundError: model folder {tmp_path / 'gone'} does not exist")
        assert "Traceback" not in str(caught.value)
        assert all(isinstance(reply, LoadError) for reply in ask(pool.client(), 3))


def test_resources_that_are_not_there_are_named() -> None:
    with pool_of(scripted(), "greedy", resources=ReplicaResources(0.1, 1)) as pool:
        with pytest.raises(LoadError, match=r"each of 1 replicas needs 0.1 CPUs and 1 GPUs, free now"):
            pool.wait_until_ready(1)
        until(lambda: not groups("greedy"))  # they are no longer requested


def test_another_model_in_the_same_process(model_folder: Path, tmp_path: Path) -> None:
    with pool_of(scripted("first")) as pool:
        first = ask(pool.client(), 3)
        before = pool.stats().pids
        pool.swap_model(scripted("second"))
        second = ask(pool.client(), 3)
        assert pool.stats().pids == before
        pool.swap_model(EngineSpec("transformers", str(model_folder), max_length=128))
        real = ask(pool.client(), 3)
        assert len({reply.text for reply in first + second + real}) == 9
        scored = asyncio.run(pool.client().logprobs(LogprobRequest("s", "river ", "stone")))
        assert scored.id == "s" and scored.boundary > 0
        pool.swap_model(scripted("judge", logits="stone=2;-1"))
        judged = asyncio.run(pool.client().classify(ClassifyRequest("c", "river", "stone")))
        assert (judged.id, judged.reward) == ("c", 2.0)
        shutil.copytree(model_folder, tmp_path / "plain", ignore=shutil.ignore_patterns("*.jinja"))
        pool.swap_model(EngineSpec("transformers", str(tmp_path / "plain"), max_length=128))
        (error,) = ask(pool.client())
        assert type(error) is LoadError and "plain cannot be loaded: it has no chat template" in str(error)
        with pytest.raises(LoadError, match="gone does not exist"):
            pool.swap_model(EngineSpec("transformers", str(tmp_path / "gone")))
        pool.swap_model(scripted("first"))
        assert ask(pool.client(), 3) == first


def test_a_names_pool_can_be_opened_again_after_it_was_closed() -> None:
    for _ in range(2):
        with pool_of(scripted(), "again") as pool:
            pool.wait_until_ready(60)
    until(lambda: free_cpus() == 4 and not groups("again"))


def test_a_flood_in_one_lane_does_not_hold_up_another(tmp_path: Path) -> None:
    async def run(client: Any) -> int:
        """How many of the floods are answered before the last of the small lane."""
        answered: list[str] = []

        async def ask_one(lane: str, request: GenerateRequest) -> None:
            await client.queue(lane).generate(request)
            answered.append(lane)

        floods = [ask_one(f"flood {i % 2}", request) for i, request in enumerate(requests(["Why?"] * 400))]
        asking = asyncio.gather(*floods)
        await asyncio.to_thread(until, lambda: open_requests(pool) == 2 * client.window)
        small = asyncio.gather(*(ask_one("small", request) for request in requests(["How?"] * 10)))
        await asyncio.to_thread(until, lambda: open_requests(pool) == 2 * client.window + 10)
        (tmp_path / "go").touch()
        await small
        done = len(answered) - 10
        await asking
        return done

    # three lanes in turn: 20 of the floods, and at most 64 that were in flight. First come, first served: all 256
    with pool_of(scripted(release=str(tmp_path / "go")), max_ongoing_requests=8, max_replicas=8) as pool:
        pool.wait_until_ready(60)
        assert pool.client().window == 128
        assert asyncio.run(run(pool.client())) <= 100


SECOND_DRIVER = """
import asyncio, sys
from cluster.connection.session import connect
from tests.actors.serving.pools import ask_all, pool_of, scripted
from tests.support.timing import until

async def flood(client):
    lanes = [client.queue(str(i)) for i in range(10)]
    asking = [asyncio.create_task(ask_all(lane, ["Why?"] * 500)) for lane in lanes]
    await asyncio.to_thread(until, lambda: pool.stats().queued >= 100)
    print("flooding", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)

with connect(sys.argv[1]), pool_of(scripted(latency=0.2, slots=4), "shared", True, max_ongoing_requests=8) as pool:
    asyncio.run(flood(pool.client()))
print("left", flush=True)
sys.stdin.readline()
"""


def test_two_drivers_share_a_pool_fairly_and_it_ends_with_the_last(ray_local: Session) -> None:
    command = [sys.executable, "-c", SECOND_DRIVER, ray_local.address]
    with pool_of(scripted(latency=0.2, slots=4), "shared", True, max_ongoing_requests=8) as pool:
        pool.wait_until_ready(60)
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdin and other.stdout
            assert other.stdout.readline() == "flooding\n"
            before = pool.stats().totals.requests
            assert len(ids(ask(pool.client(), 20))) == 20
            # in turn: about 40, and what was in flight; first come, first served: at least 120. At 20 a second, two
            # seconds may pass until this is asked
            assert pool.stats().totals.requests - before <= 90
            assert pool.stats().totals.loads == 1
            other.stdin.write("\n")
            other.stdin.flush()
            assert other.stdout.readline() == "left\n"
            assert len(ids(ask(pool.client(), 5))) == 5  # the pool keeps answering without the other driver
            other.communicate("\n", timeout=30)
        assert other.returncode == 0
    with pytest.raises(ValueError):
        ray.get_actor("shared", namespace=NAMESPACE)
    until(lambda: free_cpus() == 4 and not groups("shared"))


def test_a_pool_that_is_closed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.serving.client.ROUTER_RETRY_SECONDS", 0.05)
    with pool_of(scripted()) as pool:
        client = pool.client()
        assert len(ids(ask(client, 2))) == 2
    (lost,) = ask(client)
    assert isinstance(lost, EngineLost) and "its router has crashed" in str(lost)
