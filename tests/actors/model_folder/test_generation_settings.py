"""Settings in a model's generation_config.json reach no engine and no student; only its EOS ids end replies."""

from __future__ import annotations

import asyncio
import json
import shutil

import pytest
import torch
from transformers import AutoModelForCausalLM

from actors.engine import EngineSpec, GenerateRequest, Sampling
from actors.engines.registry import create
from actors.inference.chat_template import encode_chat

PROMPTS = ("river", "stone light water", "garden", "music number river stone " * 3)
SETTINGS = [
    {"repetition_penalty": 1.5},
    {"num_beams": 3},
    {"max_length": 4},
    {"max_new_tokens": 2},
    {"no_repeat_ngram_size": 1},
    {"min_new_tokens": 30},
    {"min_length": 90},
    {"forced_bos_token_id": 7},
    {"forced_eos_token_id": 7},
    {"begin_suppress_tokens": [40, 41, 42]},
    {"suppress_tokens": [*range(50, 250)]},
    {"bad_words_ids": [[60], [61]]},
    {"sequence_bias": [[[70], 50.0]]},
    {"exponential_decay_length_penalty": [1, 5.0]},
    {"remove_invalid_values": True, "renormalize_logits": True},
    {"stop_strings": ["e", "a"]},
    {"max_time": 0.0001},
    {"cache_implementation": "static"},
    {"use_cache": False},
    {"prompt_lookup_num_tokens": 3},
    {"assistant_early_exit": 1},
    {"return_dict_in_generate": True, "output_scores": True, "output_attentions": True},
    {"num_return_sequences": 2, "do_sample": True},
    {"watermarking_config": {"greenlist_ratio": 0.5, "bias": 20.0}},
    {"guidance_scale": 3.0},
    {"do_sample": True, "temperature": 9.0, "top_k": 3, "min_p": 0.4, "typical_p": 0.3, "epsilon_cutoff": 0.1},
    {"temperature": 0.5, "do_sample": False},
    {"eos_token_id": None, "invented_setting": 3},
    {"compile_config": {"mode": "max-autotune"}, "disable_compile": False},
]


def replies(folder):
    engine = create(EngineSpec("transformers", str(folder), max_length=200))
    sampling = [Sampling(0.0, 1.0, 20), Sampling(0.8, 0.9, 20)]
    requests = [
        GenerateRequest(f"{i}", (("user", prompt),), sampling[i % 2], seed=i, logprobs=True)
        for i, prompt in enumerate(PROMPTS)
    ]

    async def gather():
        return await asyncio.gather(*map(engine.generate, requests))

    try:
        return asyncio.run(gather())
    finally:
        engine.close()


def with_settings(folder, target, **settings):
    shutil.copytree(folder, target)
    (target / "generation_config.json").write_text(json.dumps(settings))
    return target


@pytest.fixture(scope="module")
def plain(model_folder):
    return replies(model_folder)


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: "-".join(settings))
def test_no_setting_of_the_folder_reaches_the_engine(settings, model_folder, plain, tmp_path):
    got = replies(with_settings(model_folder, tmp_path / "model", **settings))
    assert [reply.text for reply in got] == [reply.text for reply in plain]
    for own, expected in zip(got, plain, strict=True):  # rows that share a batch differ by rounding
        assert own.logprobs == pytest.approx(expected.logprobs, abs=1e-3)


def test_the_eos_ids_of_the_folder_end_replies(model_folder, tokenizer, plain, tmp_path):
    ids = encode_chat(tokenizer, (("user", PROMPTS[0]),), add_generation_prompt=True)
    model, start = AutoModelForCausalLM.from_pretrained(model_folder), len(ids)
    for _ in range(4):
        ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    stopped = replies(with_settings(model_folder, tmp_path / "model", eos_token_id=[999, ids[-1]]))[0]
    assert (plain[0].tokens_out, stopped.tokens_out) == (20, ids[start:].index(ids[-1]))
    assert stopped.finish_reason == "stop"


@pytest.mark.parametrize("content", ["not JSON", "[1]", '{"eos_token_id": "</s>"}'])
def test_an_unreadable_file_is_ignored(content, model_folder, plain, tmp_path):
    shutil.copytree(model_folder, tmp_path / "model")
    (tmp_path / "model" / "generation_config.json").write_text(content)
    assert [reply.text for reply in replies(tmp_path / "model")] == [reply.text for reply in plain]
