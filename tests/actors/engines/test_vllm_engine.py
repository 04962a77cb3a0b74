"""The vLLM engine agrees with the transformers engine. One engine start serves nearly all of it."""

from __future__ import annotations

import asyncio
import gzip
import importlib.util
import itertools
import json
from dataclasses import replace
from functools import partial

import pytest
import ray
import ray.util
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from actors.engine import EngineSpec, GenerateRequest, LoadError, LogprobRequest, RequestError, Sampling
from actors.engines import vllm_arguments
from actors.engines.registry import create
from actors.engines.vllm_arguments import engine_arguments, usable_rank
from pipelines.operators.score.perplexity import Score
from pipelines.rows.types import ResponseRow
from pipelines.study.spec.pairs.scoring import ScoringOptions

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed: `make vllm`"),
]
TEXTS = [" ".join(["river", "stone", "light", "<|im_end|>"][: i % 4 + 1]) * (i % 3 + 1) for i in range(12)]
GREEDY = [GenerateRequest(f"g{i}", (("user", text),), Sampling(max_tokens=6 + i)) for i, text in enumerate(TEXTS)]
DRAWN = [
    GenerateRequest(f"d{i}", (("user", text),), Sampling(1.0, 0.9, 8), seed=i)
    for i, text in enumerate([*TEXTS, *TEXTS])
]
SCORED = [LogprobRequest(f"s{i}", f"{text} " if i % 3 else "", "some words") for i, text in enumerate(TEXTS)]


def together(call, requests):
    async def gather():
        return await asyncio.gather(*map(call, requests), return_exceptions=True)

    return asyncio.run(gather())


@pytest.fixture(scope="module")
def engine(model_folder):
    engine = create(EngineSpec("transformers", str(model_folder), max_length=256))
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def config(model_folder):
    return AutoConfig.from_pretrained(model_folder)


def test_greedy_replies_agree(vllm_pool, engine):
    assert together(vllm_pool.client().generate, GREEDY) == together(engine.generate, GREEDY)


def test_scores_agree(vllm_pool, engine):
    asked = [replace(one, ranks=True) for one in SCORED]
    pairs = zip(together(vllm_pool.client().logprobs, asked), together(engine.logprobs, asked), strict=True)
    for ours, theirs in pairs:
        assert (ours.id, ours.boundary, ours.logprobs[0]) == (theirs.id, theirs.boundary, None)
        assert ours.logprobs[1:] == pytest.approx(theirs.logprobs[1:], abs=1e-3)
        assert ours.ranks == theirs.ranks and len(ours.ranks) == len(ours.logprobs)


def test_draws_do_not_depend_on_order(vllm_pool):
    forward = together(vllm_pool.client().generate, DRAWN)
    assert forward == together(vllm_pool.client().generate, DRAWN[::-1])[::-1]
    assert len({reply.text for reply in forward}) > len(TEXTS)


def test_long_prompts_are_request_errors(vllm_pool):
    long = GenerateRequest("l", (("user", "z" * 300),), Sampling())
    (error,) = together(vllm_pool.client().generate, [long])
    assert isinstance(error, RequestError) and error.reason == "too_long"


@pytest.mark.parametrize(("chat", "bos"), [(False, "auto"), (False, "never"), (True, "auto"), (True, "never")])
def test_pairs_and_their_lone_answers_agree_also_where_the_cache_holds_them(vllm_pool, engine, chat, bos):
    requests = [replace(one, alone=f"{one.text} {i}", chat=chat, bos=bos) for i, one in enumerate(SCORED)]
    theirs = together(engine.logprobs, requests)
    for _ in range(2):  # the second time, vLLM has the texts in its prefix cache
        for got, expected in zip(together(vllm_pool.client().logprobs, requests), theirs, strict=True):
            assert (got.boundary, got.lengths) == (expected.boundary, expected.lengths)
            for values, others in ((got.logprobs, expected.logprobs), (got.alone, expected.alone)):
                assert [value is None for value in values] == [value is None for value in others]
                known = [[value for value in one if value is not None] for one in (values, others)]
                assert known[0] == pytest.approx(known[1], abs=1e-3)


async def scored(operator, pair):
    return await operator(pair, pair.id)


def test_scores_of_real_pairs_agree(vllm_pool, engine, shared_data):
    with gzip.open(shared_data / "alpaca" / "alpaca_data.jsonl.gz", "rt") as file:
        rows = [row for line in itertools.islice(file, 2000) if len(str(row := json.loads(line))) < 150]
    pairs = [
        ResponseRow(str(i), "", "", i, row["instruction"], row["input"], row["output"], "stop", 0, 0)
        for i, row in enumerate(rows[:20])
    ]
    operators = [Score(client, ScoringOptions()) for client in (vllm_pool.client(), engine)]
    ours, theirs = (together(partial(scored, operator), pairs) for operator in operators)
    assert len(pairs) == 20
    for one, other in zip(ours, theirs, strict=True):
        for name in ("loss_instruction", "loss_conditional", "loss_answer", "ifd", "ic_ifd"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-3)


def test_a_text_that_fills_the_model_can_be_scored(vllm_pool, engine):
    request = LogprobRequest("full", "", "z" * 255)  # with the BOS as long as the model
    (ours,), (theirs,) = (together(one.logprobs, [request]) for one in (vllm_pool.client(), engine))
    assert ours.logprobs[1:] == pytest.approx(theirs.logprobs[1:], abs=1e-3)


def test_logprobs_of_replies_agree(vllm_pool, engine):
    requests = [replace(one, logprobs=True) for one in GREEDY]
    pairs = zip(together(vllm_pool.client().generate, requests), together(engine.generate, requests), strict=True)
    for ours, theirs in pairs:
        assert ours.text == theirs.text and ours.logprobs == pytest.approx(theirs.logprobs, abs=1e-3)


def test_a_reply_follows_its_schema(vllm_pool):
    schema = {"type": "object", "properties": {"score": {"enum": [1, 2]}, "good": {"type": "boolean"}}}
    schema |= {"required": ["score", "good"], "additionalProperties": False}
    asked = [
        replace(one, schema=json.dumps(schema), sampling=Sampling(1.0, 1.0, 60), seed=i) for i, one in enumerate(GREEDY)
    ]
    replies = together(vllm_pool.client().generate, [*asked, replace(asked[0], schema='{"type": "nonsense"}')])
    read = [json.loads(reply.text) for reply in replies[:-1]]
    assert all(one["score"] in (1, 2) and isinstance(one["good"], bool) for one in read)
    assert isinstance(replies[-1], RequestError) and replies[-1].reason == "schema"


def test_requests_may_name_adapters_side_by_side(vllm_pool, engine, adapter_folders, tmp_path):
    requests = [replace(GREEDY[0], id=f"a{i}", adapter=str(adapter_folders[i % 2])) for i in range(4)]
    tuned = [create(EngineSpec("transformers", str(folder), max_length=256)) for folder in adapter_folders]
    plain = replace(GREEDY[0], adapter=None)
    try:
        expected = [together(one.generate, [plain])[0].text for one in (*tuned, engine)]
    finally:
        for one in tuned:
            one.close()
    missing = replace(plain, adapter=str(tmp_path))
    *replies, error = together(vllm_pool.client().generate, [*requests, plain, missing])
    assert [reply.text for reply in replies] == [*expected[:2], *expected[:2], expected[2]]
    assert len(set(expected)) == 3
    assert isinstance(error, LoadError) and error.model == str(tmp_path)


def test_prompts_share_their_beginning(vllm_pool, engine):
    shared = "z" * 160  # tokens, more than a block of the cache in vLLM's CPU build
    requests = [GenerateRequest(f"p{i}", (("user", f"{shared} {i}"),), Sampling(max_tokens=6)) for i in range(6)]
    first = together(vllm_pool.client().generate, requests)
    assert together(vllm_pool.client().generate, requests) == first == together(engine.generate, requests)


def test_scores_stay_right_beside_requests_with_adapters(vllm_pool, engine, adapter_folders):
    client = vllm_pool.client()
    tuned = [replace(one, adapter=str(adapter_folders[i % 2])) for i, one in enumerate(GREEDY)]

    async def both():
        scores = asyncio.gather(*map(client.logprobs, SCORED))
        return await asyncio.gather(*map(client.generate, tuned)), await scores

    for ours, theirs in zip(asyncio.run(both())[1], together(engine.logprobs, SCORED), strict=True):
        assert ours.logprobs[1:] == pytest.approx(theirs.logprobs[1:], abs=1e-3)


def test_an_adapter_of_the_last_layer_is_refused(model_folder, tmp_path):
    base = AutoModelForCausalLM.from_pretrained(model_folder)
    tuned = get_peft_model(base, LoraConfig(r=4, target_modules=["q_proj", "lm_head"]))
    tuned.save_pretrained(tmp_path, save_embedding_layers=True)
    with pytest.raises(ValueError, match=r"changes base_model\.model\.lm_head.*inner layers only"):
        usable_rank(str(tmp_path))


def test_an_adapters_folder_is_its_base_with_the_adapter(adapter_folders, ray_local):
    spec = EngineSpec("vllm", str(adapter_folders[0]), max_length=128)
    theirs = create(replace(spec, engine="transformers"))
    replies, scores = together(theirs.generate, GREEDY[:4]), together(theirs.logprobs, SCORED[:4])
    theirs.close()

    @ray.remote(num_cpus=1, max_calls=1)  # a process of its own: vLLM's children end with it
    def scene(drawn, scored):
        async def run():
            engine = create(spec)
            try:
                before = engine.progress()
                replies = await asyncio.gather(*map(engine.generate, drawn))
                steps = engine.progress() - before
                return engine.features, steps, replies, await asyncio.gather(*map(engine.logprobs, scored))
            finally:
                engine.close()

        return asyncio.run(run())

    features, steps, ours, our_scores = ray.get(scene.remote(GREEDY[:4], SCORED[:4]))
    assert features == {"prompt_logprobs", "prompt_ranks", "reply_logprobs", "top_logprobs", "schema"}
    assert ours == replies
    assert steps >= max(reply.tokens_out for reply in replies)
    for got, wanted in zip(our_scores, scores, strict=True):
        assert got.logprobs[1:] == pytest.approx(wanted.logprobs[1:], abs=1e-3)


def test_a_model_that_cannot_start_says_why(ray_local, model_folder):
    @ray.remote(num_cpus=1, max_calls=1)  # a process of its own: what vLLM starts ends with it
    def start(spec: EngineSpec) -> str:
        vllm_arguments.CPU_KV_CACHE_BYTES = 1
        with pytest.raises(LoadError) as caught:
            create(spec)
        return caught.value.detail

    detail = ray.get(start.remote(EngineSpec("vllm", str(model_folder), max_length=256)))
    assert detail.startswith("ValueError: No available memory for the cache blocks.")


def test_a_model_over_several_nodes_runs_on_rays_workers(model_folder, config, monkeypatch):
    spec = EngineSpec("vllm", str(model_folder), options=(("pipeline_parallel_size", 2), ("tensor_parallel_size", 2)))
    assert engine_arguments(spec, config)["distributed_executor_backend"] == "mp"
    assert "distributed_executor_backend" not in engine_arguments(replace(spec, options=()), config)
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray.util, "get_current_placement_group", lambda: object())
    for nodes, backend in ((["a", "a"], "mp"), (["a", "b"], "ray")):
        table = {"bundles_to_node_id": dict(enumerate(nodes))}
        monkeypatch.setattr(ray.util, "placement_group_table", lambda _, table=table: table)
        assert engine_arguments(spec, config)["distributed_executor_backend"] == backend


def test_arguments_follow_the_options(model_folder, config):
    spec = EngineSpec("vllm", str(model_folder))
    plain = engine_arguments(spec, config)
    assert plain["enable_prefix_caching"] is True and "enable_lora" not in plain
    changed = replace(spec, options=(("lora", True), ("max_lora_rank", 20), ("enable_prefix_caching", False)))
    arguments = engine_arguments(changed, config)
    assert (arguments["enable_lora"], arguments["max_lora_rank"], arguments["max_loras"]) == (True, 32, 4)
    assert arguments["enable_prefix_caching"] is False
    assert engine_arguments(spec, config, 100)["max_lora_rank"] == 128
    with pytest.raises(ValueError, match="up to rank 512, not 1000"):
        engine_arguments(spec, config, 1000)
