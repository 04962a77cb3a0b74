"""Tiny random models of several families: replies, scores and trainings are those of the plain model."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from actors.engine import EngineSpec, GenerateRequest, LogprobRequest, Sampling
from actors.engines.registry import create
from actors.inference.chat_template import encode_chat
from actors.training.batches import collate
from actors.training.learner import response_losses
from actors.training.model import load_model
from actors.training.spec import TrainSpec

PROMPTS = ("river", "stone light water " * 3, "garden music")
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {"sliding_window": 64},
    "qwen2": {"tie_word_embeddings": True},
    "qwen3": {"vocab_size": 361},  # padded embeddings
    "gemma2": {"sliding_window": 64, "query_pre_attn_scalar": 8},
    "gemma3_text": {"sliding_window": 64, "query_pre_attn_scalar": 8},
    "phi3": {"sliding_window": 64},
    "gpt2": {"n_positions": 256},
    "gpt_neox": {},
    "granite": {"logits_scaling": 8.0, "embedding_multiplier": 12.0, "residual_multiplier": 0.2},
    "cohere": {"logit_scale": 0.06},
    "olmo2": {},
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen3_moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16},
    "bloom": {"n_layer": 2, "n_head": 4},
    "opt": {"ffn_dim": 64, "word_embed_proj_dim": 32},
    "mamba": {"state_size": 8},
}
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,
}


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request, tokenizer, tmp_path_factory) -> Path:
    """A tiny model of one family."""
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    sizes = {name: value for name, value in SIZES.items() if (request.param, name) != ("mamba", "intermediate_size")}
    settings = {"vocab_size": len(tokenizer)} | sizes | ids | FAMILIES[request.param]
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(request.param, **settings))
    target = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    return target


def together(call, requests):
    async def gather():
        return await asyncio.gather(*map(call, requests))

    return asyncio.run(gather())


@torch.no_grad()
def greedy(model, ids, stop, limit):
    """The text's ids by the argmax of one token after the other."""
    start = len(ids)
    for _ in range(limit):
        token = int(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax())
        if token == stop:
            break
        ids = [*ids, token]
    return ids[start:]


def test_replies_are_greedy_and_scores_are_the_models_logits(folder, tokenizer):
    plain: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    engine = create(EngineSpec("transformers", str(folder), max_length=200))
    requests = [GenerateRequest(f"{i}", (("user", text),), Sampling(max_tokens=8)) for i, text in enumerate(PROMPTS)]
    scored = [LogprobRequest(f"{i}", text, " and more words" * (i + 1)) for i, text in enumerate(PROMPTS)]
    try:
        replies, scores = together(engine.generate, requests), together(engine.logprobs, scored)
        assert [reply.text for reply in replies] == [asyncio.run(engine.generate(one)).text for one in requests]
    finally:
        engine.close()
    for request, reply in zip(requests, replies, strict=True):
        ids = encode_chat(tokenizer, request.messages, add_generation_prompt=True)
        new = [token for token in greedy(plain, ids, tokenizer.eos_token_id, 8) if token < len(tokenizer)]
        assert reply.text == tokenizer.decode(new, skip_special_tokens=True)
    for request, score in zip(scored, scores, strict=True):
        ids = tokenizer(request.context + request.text)["input_ids"]
        with torch.no_grad():
            logprobs = plain(input_ids=torch.tensor([ids]), use_cache=False).logits[0].log_softmax(-1)
        expected = [float(logprobs[i - 1, ids[i]]) for i in range(1, len(ids))]
        assert score.logprobs[1:] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_one_training_step_lowers_the_loss(folder, tuning):
    model: Any = load_model(TrainSpec(str(folder), tuning=tuning, lora_dropout=0.0), torch.float32)
    rows = [{"input_ids": [*range(5, 5 + n)], "labels": [*range(5, 5 + n)]} for n in (6, 11)]
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1e-3)
    before = response_losses(model, collate([rows], 0, packing=False), 1).sum()
    with torch.no_grad():
        alone = sum(float(response_losses(model, collate([[row]], 0, packing=False), 1)) for row in rows)
    assert float(before.detach()) == pytest.approx(alone, rel=1e-4)
    before.backward()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    assert float(response_losses(model, collate([rows], 0, packing=False), 1).detach()) < float(before.detach())
