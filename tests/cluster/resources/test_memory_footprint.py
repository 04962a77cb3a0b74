"""Sizes by config.json: exact for bundled models, equal to transformers' count, correct for published models."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

import bundled
from cluster.errors import ClusterError
from cluster.resources.inventory import GIB, Node
from cluster.resources.memory_footprint import ServingConfig, TrainingConfig, fits, serving_memory, training_memory
from cluster.resources.model_architecture import architecture

# the values of the models' public config.json, and the parameters in their model cards
LLAMA_8B = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
}
QWEN_72B = {
    "model_type": "qwen2",
    "hidden_size": 8192,
    "intermediate_size": 29568,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "vocab_size": 152064,
}
GEMMA2_9B = {
    "model_type": "gemma2",
    "hidden_size": 3584,
    "intermediate_size": 14336,
    "num_hidden_layers": 42,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 256,
    "vocab_size": 256000,
}
MIXTRAL = {
    "model_type": "mixtral",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 32000,
    "num_local_experts": 8,
    "num_experts_per_tok": 2,
}
QWEN3_30B_A3B = {
    "model_type": "qwen3_moe",
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "moe_intermediate_size": 768,
    "num_hidden_layers": 48,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "head_dim": 128,
    "vocab_size": 151936,
    "num_experts": 128,
    "num_experts_per_tok": 8,
}
PYTHIA_160M = {
    "model_type": "gpt_neox",
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "vocab_size": 50304,
}


@pytest.mark.parametrize("folder", sorted(bundled.path("tiny-1m-base").parent.iterdir()), ids=lambda path: path.name)
def test_bundled_models_are_counted_exactly(folder: Path) -> None:
    with safe_open(folder / "model.safetensors", "np") as weights:
        count = sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    assert architecture(json.loads((folder / "config.json").read_text())).parameters == count


@pytest.mark.parametrize(
    ("config", "billions", "active"),
    [
        (LLAMA_8B, 8.03, 8.03),
        (QWEN_72B, 72.7, 72.7),
        (GEMMA2_9B, 9.24, 9.24),
        (MIXTRAL, 46.7, 12.9),
        (QWEN3_30B_A3B, 30.5, 3.3),
        pytest.param(PYTHIA_160M, 0.162, 0.162, marks=pytest.mark.torch),  # not computed: built on the meta device
    ],
)
def test_published_models_have_their_published_sizes(config: dict[str, Any], billions: float, active: float) -> None:
    found = architecture(config)
    assert found.parameters / 1e9 == pytest.approx(billions, rel=0.01)
    assert found.active / 1e9 == pytest.approx(active, rel=0.02)


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "mixtral", "qwen3_moe"])
def test_what_is_computed_is_what_transformers_builds(kind: str) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    small = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "vocab_size": 100, "pad_token_id": 0}
    small |= {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
    config = AutoConfig.for_model(kind, **small).to_dict()
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **small))
    assert architecture(config).parameters == sum(each.numel() for each in model.parameters())


@pytest.mark.torch
def test_a_config_of_no_decoder_is_refused() -> None:
    with pytest.raises(ClusterError, match="no model of type 'bird'"):
        architecture({"model_type": "bird"})


def test_cache_of_a_published_model_is_as_published() -> None:
    """Llama-3.1-8B needs 128 KiB per token: 16 GiB at its full length of 131,072 (its authors' memory table)."""
    cache = serving_memory(architecture(LLAMA_8B), ServingConfig(length=131_072)).cache
    assert cache == 16 * GIB


def test_parallel_ways_divide_weights_and_cache() -> None:
    sizes = architecture(QWEN_72B)
    one, eight = (serving_memory(sizes, ServingConfig(tensor_parallel=ways, length=4096)) for ways in (1, 8))
    assert eight.weights * 8 == pytest.approx(one.weights)
    assert eight.cache * 8 == one.cache
    piped = serving_memory(sizes, ServingConfig(tensor_parallel=4, pipeline_parallel=2, length=4096))
    assert piped.weights == eight.weights


def test_heads_of_keys_are_repeated_where_there_are_fewer_than_gpus() -> None:
    sizes = architecture(QWEN3_30B_A3B)
    assert (
        serving_memory(sizes, ServingConfig(tensor_parallel=8)).cache
        == serving_memory(sizes, ServingConfig(tensor_parallel=4)).cache
    )


def test_full_fine_tuning_holds_sixteen_bytes_a_parameter_and_lora_few_more_than_the_base() -> None:
    sizes = architecture(LLAMA_8B)
    full = training_memory(sizes, TrainingConfig(rows=1, length=512))
    assert full.weights + full.optimizer >= 12 * sizes.parameters
    lora = training_memory(sizes, TrainingConfig(lora_rank=8, rows=1, length=512))
    assert 2 * sizes.parameters < lora.weights + lora.optimizer < 2.1 * sizes.parameters
    assert training_memory(sizes, TrainingConfig(workers=8, sharded=True)).optimizer * 8 == pytest.approx(
        full.optimizer
    )


def test_a_node_holds_what_its_memory_has_room_for() -> None:
    l4, h100 = (Node(name, 8, gpus, 64 * GIB, name) for name, gpus in (("L4", 1), ("H100", 8)))
    eight_billion = serving_memory(architecture(LLAMA_8B), ServingConfig(length=8192))
    assert fits(l4, eight_billion, 1) and fits(h100, eight_billion, 1)
    assert not fits(l4, eight_billion, 2)
    large = serving_memory(architecture(QWEN_72B), ServingConfig(tensor_parallel=4))
    assert fits(h100, large, 4) and not fits(h100, serving_memory(architecture(QWEN_72B), ServingConfig()), 1)
    assert not fits(l4, eight_billion, 0.5)


LLAMA_405B = LLAMA_8B | {
    "hidden_size": 16384,
    "intermediate_size": 53248,
    "num_hidden_layers": 126,
    "num_attention_heads": 128,
}
LLAMA_70B = LLAMA_8B | {
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
}


@pytest.mark.parametrize(
    ("config", "bytes_per_weight", "gpus", "gib"),
    [
        (LLAMA_405B, None, 8, 94.5),
        (LLAMA_405B, 1.0, 8, 47.7),  # FP8: embeddings and the output layer stay in 16 bit
        (LLAMA_70B, 0.51953125, 1, 37.1),  # AWQ, 4 bit in groups of 128
        (MIXTRAL, None, 2, 43.5),
        (MIXTRAL, 0.51953125, 1, 22.9),
        (QWEN3_30B_A3B, None, 1, 56.9),
        (QWEN3_30B_A3B, 1.0, 1, 29.0),
    ],
)
def test_quantised_weights_have_their_own_size(
    config: dict[str, Any], bytes_per_weight: float | None, gpus: int, gib: float
) -> None:
    serving = ServingConfig(tensor_parallel=gpus, length=1, bytes_per_weight=bytes_per_weight)
    need = serving_memory(architecture(config), serving)
    assert need.weights / GIB == pytest.approx(gib, rel=0.005)
    assert need.cache == serving_memory(architecture(config), ServingConfig(tensor_parallel=gpus, length=1)).cache
