"""A training on Ray compares packed rows with rows alone before its first step."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from actors.training.spec import TrainError, TrainSpec
from actors.training.trainer import train

PAIRS = [(f"Say {word}.", word) for word in ("red", "blue", "green", "white")]
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "initializer_range": 0.4,
}


def packed(kind: str, tokenizer, folder: Path) -> TrainSpec:
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, vocab_size=len(tokenizer), **SIZES, **ids)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return TrainSpec(str(folder), dtype="float32", epochs=1, batch_size=4, micro_batch_size=2, packing=True)


def test_a_model_that_mixes_rows_is_not_trained_on_packed_rows(ray_local, tokenizer, tmp_path) -> None:
    with pytest.raises(TrainError, match="this model's rows see each other") as told:
        train(packed("gpt_oss", tokenizer, tmp_path / "base"), PAIRS, tmp_path / "student")
    assert "\n" not in str(told.value) and not (tmp_path / "student").exists()


def test_a_model_that_separates_rows_is(ray_local, tokenizer, tmp_path) -> None:
    outcome = train(packed("llama", tokenizer, tmp_path / "base"), PAIRS, tmp_path / "student")
    assert (outcome.rows, outcome.steps) == (4, 1) and (tmp_path / "student" / "config.json").is_file()
