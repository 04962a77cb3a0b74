"""The cache of generation: the same tokens as with transformers' own, without a copy of everything for each token."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, DynamicCache, GenerationConfig, LlamaConfig, MambaConfig, MistralConfig
from transformers.cache_utils import DynamicLayer

import actors.inference.decoding.generation as generation
from actors.engine import Sampling
from actors.inference.decoding.cache import MIN_ROOM, LayerWithRoom, empty_cache
from actors.inference.decoding.sampler import DecodeRequest

SIZES: dict[str, Any] = {
    "vocab_size": 90,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}


def model(config: Any) -> Any:
    torch.manual_seed(0)
    made: Any = AutoModelForCausalLM.from_config(config).eval()
    made.generation_config = GenerationConfig()
    return made


def states(tokens: int, rows: int = 3) -> torch.Tensor:
    return torch.randn(rows, 2, tokens, 4)


@pytest.mark.parametrize("window", [None, 8])
def test_rows_get_the_tokens_that_they_get_with_the_cache_of_transformers(
    window: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = model(MistralConfig(**SIZES, sliding_window=window))
    rows = [
        DecodeRequest(tuple(range(5, 9 + 2 * number)), Sampling(0.7, 1.0, (4, 9, 3 * MIN_ROOM)[number % 3]), number)
        for number in range(16)  # two thirds of them leave the batch
    ]
    given = empty_cache(here)
    assert given is not None
    assert {type(layer) is LayerWithRoom for layer in given.layers} == {window is None}

    ours = generation.generate_rows(here, rows, frozenset(), 0, lambda: None)
    monkeypatch.setattr(generation, "empty_cache", lambda _: None)
    assert ours == generation.generate_rows(here, rows, frozenset(), 0, lambda: None)


def test_a_layer_has_what_the_layer_of_transformers_has() -> None:
    ours, theirs = LayerWithRoom(), DynamicLayer()
    for tokens in (5, 1, 1, MIN_ROOM, 1, 200, 1):
        keys, values = states(tokens), states(tokens)
        for mine, other in zip(ours.update(keys, values), theirs.update(keys, values), strict=True):
            assert torch.equal(mine, other)
        assert ours.get_seq_length() == theirs.get_seq_length()


def test_rows_that_stay_keep_their_own_tokens() -> None:
    ours, theirs, stay = LayerWithRoom(), DynamicLayer(), torch.tensor([0, 2])
    for layer in (ours, theirs):
        torch.manual_seed(0)
        layer.update(states(6), states(6))
        layer.batch_select_indices(stay)
        layer.update(states(1, 2), states(1, 2))
    assert ours.keys is not None and theirs.keys is not None
    assert torch.equal(ours.keys, theirs.keys)


def test_earlier_tokens_are_not_copied_for_each_new_one() -> None:
    layer, places = LayerWithRoom(), set[int]()
    layer.update(states(10), states(10))
    for _ in range(400):
        keys, _ = layer.update(states(1), states(1))
        places.add(keys.data_ptr())
    assert len(places) < 400 / MIN_ROOM


def test_a_model_with_a_state_of_another_kind_makes_its_own_cache() -> None:
    assert empty_cache(model(MambaConfig(vocab_size=90, hidden_size=32, num_hidden_layers=2))) is None
    given = empty_cache(model(LlamaConfig(**SIZES)))
    assert type(given) is DynamicCache
