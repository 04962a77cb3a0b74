"""Pools on a real Ray: requests reach replicas, failures come back as what they are."""

from __future__ import annotations

import asyncio
import os
import pickle
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import ray

from actors.engine import EngineLost, EngineSpec, GenerateRequest, LoadError, LogprobRequest, RequestError, Sampling
from actors.pool import Pool

pytestmark = pytest.mark.usefixtures("ray_local")
SAMPLING = Sampling(temperature=1.0, max_tokens=8)


def scripted(model="teacher", **options):
    return EngineSpec("scripted", model, options=tuple(options.items()))


@contextmanager
def pool_of(spec, name="pool", **arguments) -> Iterator[Pool]:
    pool = Pool(spec, name, cpus=0.1, **arguments)
    try:
        yield pool
    finally:
        pool.close()


def ask(client, count=1, text="Why?"):
    async def gather():
        requests = [GenerateRequest(f"r{i}", (("user", f"{text} {i}"),), SAMPLING, i) for i in range(count)]
        return await asyncio.gather(*map(client.generate, requests), return_exceptions=True)

    return asyncio.run(gather())


def test_every_request_is_answered_once_and_work_is_shared():
    with pool_of(scripted(latency=0.005), replicas=2, in_flight=8) as pool:
        pool.ready(120)
        replies = ask(pool.client(), 100)
        assert [reply.id for reply in replies] == [f"r{i}" for i in range(100)]
        stats = pool.stats()
        assert sum(each.requests for each in stats) == 100
        assert min(each.requests for each in stats) >= 10
        assert sum(each.tokens_out for each in stats) == sum(reply.tokens_out for reply in replies)
        assert all(each.busy_seconds > 0 and each.rss_bytes > 0 for each in stats)


def test_replies_do_not_depend_on_the_number_of_replicas():
    with pool_of(scripted(), "one") as one, pool_of(scripted(), "two", replicas=2) as two:
        assert ask(one.client(), 20) == ask(two.client(), 20)


def test_a_client_travels_to_workers():
    request = GenerateRequest("r0", (("user", "Why? 0"),), SAMPLING)

    @ray.remote(num_cpus=0.1)
    def work(client):
        return asyncio.run(client.generate(request))

    with pool_of(scripted()) as pool:
        client = pickle.loads(pickle.dumps(pool.client()))
        assert [ray.get(work.remote(client))] == ask(client)


def test_requests_in_flight_are_bounded():
    with pool_of(scripted(latency=0.1), in_flight=2) as pool:
        pool.ready(120)
        ask(pool.client(), 10)
        assert pool.stats()[0].busy_seconds >= 0.45


def test_a_refused_request_is_an_error_of_its_own_row_only():
    with pool_of(scripted(refuse="Why? 3")) as pool:
        replies = ask(pool.client(), 6)
        assert isinstance(replies[3], RequestError) and replies[3].reason == "refused"
        assert sum(isinstance(reply, Exception) for reply in replies) == 1


def test_a_model_that_can_not_load_is_one_clear_error(tmp_path):
    with pool_of(EngineSpec("transformers", str(tmp_path / "gone"))) as pool:
        with pytest.raises(LoadError) as caught:
            pool.ready(120)
        assert str(caught.value).endswith(f"FileNotFoundError: model folder {tmp_path / 'gone'} does not exist")
        assert "Traceback" not in str(caught.value)
        assert all(isinstance(reply, LoadError) for reply in ask(pool.client(), 3))


def test_resources_that_are_not_there_are_named():
    with pool_of(scripted(), gpus=1) as pool, pytest.raises(LoadError, match=r"asks for 0.1 CPUs and 1 GPUs, free now"):
        pool.ready(2)


def test_a_killed_replica_comes_back_and_loses_nothing():
    with pool_of(scripted(latency=0.02), in_flight=4) as pool:
        pool.ready(120)
        client = pool.client()

        async def run():
            requests = [GenerateRequest(f"r{i}", (("user", "x"),), SAMPLING, i) for i in range(100)]
            answers = asyncio.gather(*map(client.generate, requests))
            await asyncio.sleep(0.2)
            os.kill(pool.stats()[0].pid, signal.SIGKILL)
            return await answers

        assert [reply.id for reply in asyncio.run(run())] == [f"r{i}" for i in range(100)]


def test_a_request_that_always_kills_its_process_ends_as_a_lost_engine():
    with pool_of(scripted(poison="kills")) as pool:
        (lost,) = ask(pool.client(), 1, "kills")
        assert isinstance(lost, EngineLost)
        assert str(lost).startswith("the engine of model teacher is lost")


def test_another_model_in_the_same_process(model_folder, tmp_path):
    with pool_of(scripted("first")) as pool:
        first = ask(pool.client(), 3)
        before = pool.stats()[0].pid
        pool.reload(scripted("second"))
        second = ask(pool.client(), 3)
        assert pool.stats()[0].pid == before
        pool.reload(EngineSpec("transformers", str(model_folder), max_length=128))
        real = ask(pool.client(), 3)
        assert len({reply.text for reply in first + second + real}) == 9
        scored = asyncio.run(pool.client().logprobs(LogprobRequest("s", "river ", "stone")))
        assert scored.id == "s" and scored.boundary > 0
        shutil.copytree(model_folder, tmp_path / "plain", ignore=shutil.ignore_patterns("*.jinja"))
        pool.reload(EngineSpec("transformers", str(tmp_path / "plain"), max_length=128))
        (error,) = ask(pool.client())
        assert type(error) is ValueError and str(error).endswith("plain has no chat template")


def test_a_restarted_process_answers_with_the_model_that_is_asked_for():
    with pool_of(scripted("first")) as pool:
        pool.ready(120)
        pool.reload(scripted("second"))
        before = ask(pool.client(), 3)
        os.kill(pool.stats()[0].pid, signal.SIGKILL)
        assert ask(pool.client(), 3) == before


def test_a_names_pool_can_be_opened_again_after_it_was_closed():
    for _ in range(2):
        with pool_of(scripted(), "again") as pool:
            pool.ready(120)
