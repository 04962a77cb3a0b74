"""The transformers engine against a plain loop over one row at a time."""

from __future__ import annotations

import asyncio
import math
import weakref
from collections import Counter
from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from actors.engine import EngineSpec, GenerateRequest, LogprobRequest, RequestError, Sampling
from actors.engines import transformers_engine
from actors.engines.options import parse_options
from actors.engines.registry import create
from actors.inference.chat_template import encode_chat
from actors.inference.decoding.generation import generate_rows
from actors.inference.decoding.sampler import DecodeRequest

GREEDY = Sampling(max_tokens=12)
WORDS = ["river", "stone", "light", "water", "garden", "music", "number"]


def request(i, sampling=GREEDY, seed=0, text=None):
    return GenerateRequest(f"r{i}", (("user", text or " ".join(WORDS[: i % 7 + 1]) * (i % 3 + 1)),), sampling, seed)


@pytest.fixture(scope="module")
def engine(model_folder):
    engine = create(EngineSpec("transformers", str(model_folder), max_length=128))
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def model(model_folder):
    return AutoModelForCausalLM.from_pretrained(model_folder).eval()


def together(call, requests):
    async def gather():
        return await asyncio.gather(*map(call, requests), return_exceptions=True)

    return asyncio.run(gather())


def one_by_one(call, requests):
    return [asyncio.run(call(request)) for request in requests]


def greedy_ids(model, prompt, stop, limit):
    ids = list(prompt)
    while len(ids) < len(prompt) + limit:
        with torch.inference_mode():
            token = int(model(torch.tensor([ids])).logits[0, -1].argmax())
        if token == stop:
            break
        ids.append(token)
    return ids[len(prompt) :]


def test_greedy_replies_equal_a_plain_loop(engine, model, tokenizer):
    requests = [request(i, Sampling(max_tokens=3 + i)) for i in range(10)]
    for sent, got in zip(requests, together(engine.generate, requests), strict=True):
        prompt = encode_chat(tokenizer, sent.messages, add_generation_prompt=True)
        expected = greedy_ids(model, prompt, tokenizer.eos_token_id, sent.sampling.max_tokens)
        assert got.id == sent.id
        assert got.text == tokenizer.decode(expected, skip_special_tokens=True)
        assert (got.tokens_in, got.tokens_out) == (len(prompt), len(expected))
        assert got.finish_reason == ("length" if len(expected) == sent.sampling.max_tokens else "stop")


def test_draws_do_not_depend_on_what_shares_the_batch(engine):
    sampling = [Sampling(1.0, 1.0, 12), Sampling(0.7, 0.9, 12), Sampling(0.0, 1.0, 12), Sampling(1.3, 0.5, 9)]
    requests = [request(i, sampling[i % 4], seed=i) for i in range(16)]
    forward, backward = together(engine.generate, requests), together(engine.generate, requests[::-1])[::-1]
    assert forward == backward == one_by_one(engine.generate, requests)


def test_seeds_give_different_draws(engine):
    requests = [request(1, Sampling(1.0, 1.0, 12), seed=seed) for seed in range(8)]
    assert len({got.text for got in together(engine.generate, requests)}) == 8


def test_sampled_tokens_follow_the_models_distribution_within_the_nucleus(engine, model, tokenizer):
    sampling = Sampling(temperature=0.6, top_p=0.8, max_tokens=1)
    drawn = 2000
    replies = together(engine.generate, [request(2, sampling, seed) for seed in range(drawn)])
    prompt = encode_chat(tokenizer, request(2).messages, add_generation_prompt=True)
    with torch.inference_mode():
        probabilities = (model(torch.tensor([prompt])).logits[0, -1] / 0.6).softmax(-1)
    ordered, tokens = probabilities.sort(descending=True)
    nucleus = int((ordered.cumsum(0) < 0.8).sum()) + 1
    expected = Counter()
    for p, token in zip(ordered[:nucleus], tokens[:nucleus], strict=True):
        expected[tokenizer.decode([token], skip_special_tokens=True)] += float(p / ordered[:nucleus].sum())
    counted = Counter(reply.text for reply in replies)
    assert set(counted) <= set(expected)
    for text, p in expected.items():
        assert abs(counted[text] / drawn - p) < 4.5 * math.sqrt(p * (1 - p) / drawn) + 1e-3


def test_logprobs_equal_a_plain_forward_pass(engine, model, tokenizer):
    requests = [LogprobRequest(f"s{i}", " ".join(WORDS[:i]), " answer " * (1 + i % 4)) for i in range(9)]
    for sent, got in zip(requests, together(engine.logprobs, requests), strict=True):
        ids = tokenizer(sent.context + sent.text)["input_ids"]
        with torch.inference_mode():
            logprobs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        assert got.logprobs[0] is None
        assert got.logprobs[1:] == pytest.approx([float(logprobs[i - 1, ids[i]]) for i in range(1, len(ids))], abs=1e-4)
        assert got.boundary == (len(tokenizer(sent.context)["input_ids"]) if sent.context else 0)


def test_scores_have_the_same_bits_whatever_arrives_with_them(engine):
    requests = [LogprobRequest(f"s{i}", " ".join(WORDS[: i % 7]), " answer" * (1 + i % 5), "alone") for i in range(40)]
    expected = together(engine.logprobs, requests)
    assert together(engine.logprobs, requests[::-1])[::-1] == expected
    assert one_by_one(engine.logprobs, requests[:5]) == expected[:5]


def test_control_tokens_in_scored_text_are_text(engine, tokenizer):
    (got,) = together(engine.logprobs, [LogprobRequest("s", "", "a<|im_end|>b")])
    assert len(got.logprobs) > len(tokenizer("a<|im_end|>b")["input_ids"])


def test_a_prompt_near_the_limit_gets_what_room_is_left(engine, tokenizer):
    frame = len(encode_chat(tokenizer, (("user", ""),), add_generation_prompt=True))
    (fits,) = together(engine.generate, [request(0, Sampling(max_tokens=50), text="z" * (128 - frame - 2))])
    assert fits.tokens_in == 126 and fits.tokens_out <= 2
    (too_long,) = together(engine.generate, [request(0, text="z" * (128 - frame))])
    assert isinstance(too_long, RequestError) and too_long.reason == "too_long"
    (too_long,) = together(engine.logprobs, [LogprobRequest("s", "z" * 100, "z" * 100)])
    assert isinstance(too_long, RequestError) and too_long.reason == "too_long"


def test_a_closed_engine_refuses_calls(model_folder):
    engine = create(EngineSpec("transformers", str(model_folder)))
    engine.close()
    with pytest.raises(RuntimeError, match="closed"):
        asyncio.run(engine.generate(request(0)))


def test_a_closed_engine_frees_its_weights(model_folder):
    engine = create(EngineSpec("transformers", str(model_folder), options=(("lora", True),)))
    together(engine.generate, [request(0), request(1)])
    weights = weakref.ref(next(engine._model.parameters()))
    engine.close()
    assert weights() is None  # at once, so that the next model finds the memory of the device free


def test_an_adapter_folder_is_loaded_merged(model_folder, tokenizer, tmp_path):
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    base = AutoModelForCausalLM.from_pretrained(model_folder)
    tuned = get_peft_model(base, LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False))
    tuned.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    ids = tokenizer("river stone")["input_ids"]
    with torch.inference_mode():
        logprobs = tuned.eval()(torch.tensor([ids])).logits[0].log_softmax(-1)
    engine = create(EngineSpec("transformers", str(tmp_path)))
    got = asyncio.run(engine.logprobs(LogprobRequest("s", "", "river stone")))
    engine.close()
    assert got.logprobs[1:] == pytest.approx([float(logprobs[i - 1, ids[i]]) for i in range(1, len(ids))], abs=1e-4)


def test_pickled_weights_are_refused(model_folder, tokenizer, tmp_path):
    model = LlamaForCausalLM(LlamaConfig.from_pretrained(model_folder))
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    model.config.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(OSError, match="safetensors"):
        create(EngineSpec("transformers", str(tmp_path)))


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere does not exist"):
        create(EngineSpec("transformers", str(tmp_path / "nowhere")))


def test_unknown_engines_and_options_are_named():
    with pytest.raises(ValueError, match="unknown engine 'vlm'"):
        create(EngineSpec("vlm", "m"))
    with pytest.raises(ValueError, match="no option 'max_btch'; it has max_batch"):
        parse_options(EngineSpec("transformers", "m", options=(("max_btch", 3),)), max_batch=1)
    with pytest.raises(ValueError, match="must be a whole number, not 'x'"):
        parse_options(EngineSpec("transformers", "m", options=(("max_batch", "x"),)), max_batch=1)


def test_logprobs_of_a_reply_come_when_asked_for_and_change_no_word(engine):
    plain = [request(i, [GREEDY, Sampling(1.3, 0.5, 9)][i % 2], seed=i) for i in range(8)]
    asked = [replace(one, logprobs=i % 4 < 2) for i, one in enumerate(plain)]
    with_logprobs = together(engine.generate, asked)
    assert [replace(got, logprobs=None) for got in with_logprobs] == together(engine.generate, plain)
    assert [got.logprobs and len(got.logprobs) for got in with_logprobs] == [
        got.tokens_out if sent.logprobs else None for sent, got in zip(asked, with_logprobs, strict=True)
    ]


def test_logprobs_of_a_reply_are_the_models_own_however_the_tokens_were_drawn(model, tokenizer):
    drawings = [Sampling(max_tokens=6), Sampling(1.3, 0.5, 9), Sampling(0.2, 1.0, 12), Sampling(1.0, 1.0, 3)]
    prompts = [encode_chat(tokenizer, request(i).messages, add_generation_prompt=True) for i in range(4)]
    rows = [DecodeRequest(tuple(ids), drawings[i], i, logprobs=i != 1) for i, ids in enumerate(prompts)]
    for row, drawn in zip(rows, generate_rows(model, rows, frozenset(), 0, lambda: None), strict=True):
        assert len(drawn.tokens) == row.sampling.max_tokens
        if not row.logprobs:
            assert drawn.logprobs is None
            continue
        ids = [*row.prompt, *drawn.tokens]
        with torch.inference_mode():
            expected = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        values = [float(expected[i - 1, ids[i]]) for i in range(len(row.prompt), len(ids))]
        assert drawn.logprobs == pytest.approx(values, abs=1e-4)


@pytest.mark.parametrize("call", ["generate", "logprobs"])
def test_a_batch_without_memory_is_split_and_gives_the_same(model_folder, monkeypatch, call):
    requests = [request(i) for i in range(12)]
    if call == "logprobs":
        requests = [LogprobRequest(f"s{i}", "", " ".join(WORDS[: i % 5 + 1])) for i in range(12)]
    name = {"generate": "generate_rows", "logprobs": "score_tokens"}[call]
    run, failed = getattr(transformers_engine, name), []

    def scarce(model, rows, *rest):
        if len(rows) > 2:
            failed.append(len(rows))
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(model, rows, *rest)

    engine = create(EngineSpec("transformers", str(model_folder), max_length=128))
    try:
        expected = together(getattr(engine, call), requests)
        monkeypatch.setattr(transformers_engine, name, scarce)
        got = together(getattr(engine, call), requests)
        assert max(failed) > 4
    finally:
        engine.close()
    assert got == expected


def test_a_row_that_needs_more_memory_than_there_is_is_a_request_error(engine, monkeypatch):
    def greedy_for_memory(*_):
        return torch.empty(2**50)

    monkeypatch.setattr(transformers_engine, "score_tokens", greedy_for_memory)
    (error,) = together(engine.logprobs, [LogprobRequest("s", "", "words")])
    assert isinstance(error, RequestError) and error.reason == "out_of_memory"


def test_other_failures_of_torch_are_not_taken_for_lack_of_memory(engine, monkeypatch):
    def broken(*_):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(transformers_engine, "score_tokens", broken)
    (error,) = together(engine.logprobs, [LogprobRequest("s", "", "words")])
    assert type(error) is RuntimeError and "shapes" in str(error)


def test_progress_counts_the_layers_of_decoding_steps_and_scoring_passes(engine):
    layers, before = 2, engine.progress()
    (got,) = together(engine.generate, [request(1, Sampling(max_tokens=5))])
    steps = got.tokens_out + (got.finish_reason == "stop")
    assert engine.progress() - before == steps * (layers + 1)
    before = engine.progress()
    together(engine.logprobs, [LogprobRequest("s", "", "words")])
    assert engine.progress() - before >= layers + 1  # a model's first pass is preceded by one that looks at its head


def test_only_work_uses_cpu_time(engine):
    together(engine.generate, [request(1, Sampling(max_tokens=5))])
    before = engine.cpu_seconds()
    assert engine.cpu_seconds() == before > 0
    together(engine.generate, [request(1, Sampling(max_tokens=5))])
    assert engine.cpu_seconds() > before
