"""A study that can never fit is refused before anything starts, with the smallest change that would make it fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import ClusterError
from cluster.resources.inventory import GIB, Inventory, Node
from cluster.resources.model_architecture import architecture
from pipelines.planning.memory import check_memory, memory_needs, oversized
from pipelines.planning.model_size import with_kept_modules
from pipelines.study.spec.study import Study
from tests.cluster.resources.test_memory_footprint import LLAMA_8B, QWEN_72B
from tests.support.studies import scripted_study

L4 = Node("l4", 8, 1, 32 * GIB, "L4")
H100 = Node("h100", 192, 8, 1800 * GIB, "H100")
LAPTOP = Node("laptop", 2, 0, 8 * GIB)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, config in (("llama-8b", LLAMA_8B), ("qwen-72b", QWEN_72B)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config | {"dtype": "bfloat16"}))
    return tmp_path


def study(model: dict[str, Any], recipe: dict[str, Any] | None = None) -> Study:
    models = {name: {"source": name, "engine": "scripted"} for name in ("small", "large", "scorer")}
    content: dict[str, Any] = {"models": models | {"large": {"engine": "auto"} | model}}
    if recipe is not None:
        content |= {"recipes": {"sft": recipe}, "students": [{"model": "large", "recipe": "sft"}]}
    return scripted_study(**content)


def remedy(found: Study, folder: Path, *nodes: Node) -> str:
    (told,) = oversized(found, folder, Inventory(nodes))
    return told.partition("makes it fit: ")[2]


def test_only_models_with_a_config_are_judged(folder: Path) -> None:
    found = memory_needs(study({"source": "llama-8b", "gpus": 1}), folder)
    assert [need.name for need in found] == ["large"]


def test_a_model_that_fits_is_no_problem(folder: Path) -> None:
    check_memory(study({"source": "llama-8b", "gpus": 1, "max_length": 8192}), folder, Inventory((L4,)))


def test_more_gpus_are_the_smallest_change_where_a_node_has_them(folder: Path) -> None:
    found = study({"source": "qwen-72b", "gpus": 1})
    assert remedy(found, folder, L4, H100) == "set 'gpus: 2' under models.large"


def test_a_shorter_length_makes_a_cache_fit(folder: Path) -> None:
    found = study({"source": "llama-8b", "gpus": 1, "max_length": 131_072})
    key, _, length = remedy(found, folder, L4).partition(" under ")[0].removeprefix("set ").strip("'").partition(": ")
    assert key == "max_length" and 20_000 < int(length) < 60_000
    check_memory(study({"source": "llama-8b", "gpus": 1, "max_length": int(length)}), folder, Inventory((L4,)))


def test_half_the_bytes_make_weights_fit(folder: Path) -> None:
    found = study({"source": "llama-8b", "gpus": 1, "dtype": "float32"})
    assert remedy(found, folder, L4) == "set 'dtype: bfloat16' under models.large"


def test_lora_makes_a_training_fit(folder: Path) -> None:
    found = study({"source": "llama-8b", "gpus": 1}, {"max_length": 256})
    assert remedy(found, folder, L4) == "set 'tuning: lora' under recipes.sft"


def test_more_gpus_for_a_training_change_less_than_another_recipe(folder: Path) -> None:
    found = study({"source": "llama-8b", "gpus": 1}, {"max_length": 1024})
    assert remedy(found, folder, H100) == (
        "set 'workers: 2', 'sharding: fsdp', 'gradient_checkpointing: true' for the student large"
    )


def test_adafactor_keeps_no_moments_and_is_not_sharded(folder: Path) -> None:
    adamw, adafactor = (
        study({"source": "llama-8b", "gpus": 1}, {"max_length": 1024, "optimizer": name})
        for name in ("adamw", "adafactor")
    )
    needs = [memory_needs(each, folder)[0].footprint for each in (adamw, adafactor)]
    assert needs[0].optimizer == 3 * needs[1].optimizer
    assert needs[0].total - needs[1].total == 2 * needs[1].optimizer
    assert remedy(adafactor, folder, H100) == "set 'tuning: lora' under recipes.sft"


def test_fewer_rows_at_once_come_before_lora(folder: Path) -> None:
    found = study({"source": "llama-8b", "gpus": 1}, {"tuning": "lora", "micro_batch_size": 16, "max_length": 2048})
    assert remedy(found, folder, H100).startswith("set 'micro_batch_size: ")


def test_where_only_some_gpus_hold_a_model_their_kind_has_to_be_named(folder: Path) -> None:
    found, here = study({"source": "llama-8b", "gpus": 1, "max_length": 100_000}), Inventory((L4, H100))
    with pytest.raises(ClusterError, match=r"it may be placed on L4, with 21\.6 GiB .*set 'accelerator: H100' under"):
        check_memory(found, folder, here)
    named = study({"source": "llama-8b", "gpus": 1, "max_length": 100_000, "accelerator": "H100"})
    check_memory(named, folder, here)
    with pytest.raises(ClusterError, match="the cluster has no such GPU"):
        check_memory(named, folder, Inventory((L4,)))


def test_without_a_change_that_would_do_the_machine_is_named(folder: Path) -> None:
    assert remedy(study({"source": "qwen-72b"}), folder, LAPTOP).startswith("add a machine with 136")


def test_refusal_names_model_memory_and_the_largest_node(folder: Path) -> None:
    with pytest.raises(ClusterError, match=r"large needs about .* on its GPU to serve; the largest GPU has 21\.6 GiB"):
        check_memory(study({"source": "qwen-72b", "gpus": 1}), folder, Inventory((L4, LAPTOP)))


@pytest.mark.torch
def test_modules_that_an_fp8_checkpoint_keeps_in_16_bit_are_counted_so() -> None:
    config = LLAMA_FP8 | {"quantization_config": {"quant_method": "fbgemm_fp8", "modules_to_not_convert": KEPT}}
    plain = architecture(config)
    sizes = with_kept_modules(plain, config)
    assert sizes.unquantised - plain.unquantised == 2 * (2 * 64 * 64 + 2 * 64 * 16) + 3 * 64 * 128
    assert with_kept_modules(plain, LLAMA_FP8) == plain


LLAMA_FP8 = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 100,
}
# as in Llama-3.1-405B-FP8: all attention, and the MLPs of some layers
KEPT = [
    "lm_head",
    *(f"model.layers.{layer}.self_attn.{name}_proj" for layer in range(2) for name in "qkvo"),
    *(f"model.layers.1.mlp.{name}_proj" for name in ("gate", "up", "down")),
]


def test_the_adapters_of_students_are_counted_beside_their_base(folder: Path) -> None:
    def weights(recipe: dict[str, Any] | None, **model: Any) -> int:
        found = memory_needs(study({"source": "llama-8b", "gpus": 1, **model}, recipe), folder)
        return next(need.footprint.weights for need in found if need.role == "to serve")

    sizes = architecture(LLAMA_8B)
    base, lora = weights(None), {"tuning": "lora", "lora_rank": 16}
    adapter = 2 * 16 * sizes.linear  # bytes
    assert weights(lora) == base + 8 * adapter
    assert weights(lora, engine="transformers") == base + 2 * 8 * adapter
    assert weights(lora, runtime={"max_loras": 2, "max_lora_rank": 32}) == base + 2 * 2 * adapter
    assert base == weights({"tuning": "full"}) == weights(lora, runtime={"lora": False})
    quantised = {"quantization": "fp8"}
    assert weights(None, options=quantised) == weights(lora, options=quantised)


def test_merged_students_are_the_smallest_change_where_only_adapters_are_too_large(folder: Path) -> None:
    recipe = {"tuning": "lora", "lora_rank": 256, "max_length": 64}
    found = study({"source": "llama-8b", "gpus": 1, "max_length": 512}, recipe)
    told = [line for line in oversized(found, folder, Inventory((L4,))) if "to serve" in line]
    assert told and told[0].endswith("set 'lora: false' under models.large.runtime")
