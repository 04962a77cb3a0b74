"""Packed rows: none sees another, in models that we attend for and in those that attend themselves."""

from __future__ import annotations

import pytest

from actors.inference.scoring.packed_attention import PACKED_ATTENTION
from actors.model_folder.packing import packing_problem
from actors.training.batches import collate
from actors.training.learner import response_losses
from actors.training.packed_attention import attention_for, check_rows_apart
from actors.training.spec import TrainError

ROWS = [
    {"input_ids": [*range(n, n + length)], "labels": [*range(n, n + length)]}
    for n, length in ((5, 7), (40, 3), (9, 12))
]


def model(name: str, attention: str | None = None, **changes):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        name,
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        **changes,
    )
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, attn_implementation=attention or attention_for(config, True)).eval()


@pytest.mark.parametrize(
    ("name", "changes", "apart"),
    [
        ("llama", {}, True),
        ("qwen2", {"sliding_window": 8, "use_sliding_window": False}, True),
        ("qwen3", {}, True),
        ("mistral", {"sliding_window": 4}, False),
        ("gemma2", {"sliding_window": 4}, False),
    ],
)
def test_a_pack_has_the_losses_of_its_rows(name: str, changes: dict[str, object], apart: bool) -> None:
    import torch

    packing = model(name, **changes)
    assert (packing.config._attn_implementation == PACKED_ATTENTION) == apart
    alone = model(name, "eager", **changes)
    with torch.no_grad():
        single = [response_losses(alone, collate([[row]], 0, packing=False), 1).item() for row in ROWS]
        packed = response_losses(packing, collate([ROWS], 0, packing=True), 1).item()
        by_student = response_losses(packing, collate([[row] for row in ROWS], 0, packing=True), 3).tolist()
    assert packed == pytest.approx(sum(single), rel=1e-5)
    assert by_student == pytest.approx(single, rel=1e-5)


@pytest.mark.parametrize("name", ["llama", "gemma2", "qwen3_moe", "gpt_neox", "opt"])
def test_models_that_separate_rows_pass_the_check(name: str) -> None:
    import torch

    changes = {"num_experts": 4, "num_experts_per_tok": 2} if name == "qwen3_moe" else {}
    separating = model(name, **changes)
    assert not packing_problem(separating.config.to_dict())
    for students, bfloat16 in ((1, False), (3, False), (1, True)):
        check_rows_apart(separating, name, 64, students, torch.device("cpu"), bfloat16)
    assert separating.training


@pytest.mark.parametrize("name", ["bloom", "mamba", "jamba", "falcon_h1", "gpt_oss"])
def test_models_whose_rows_see_each_other_are_refused(name: str) -> None:
    import torch

    changes = {"initializer_range": 0.4} | ({"num_experts": 2, "mamba_expand": 1} if name == "jamba" else {})
    mixing = model(name, **changes)
    assert f"'{name}' has" in packing_problem(mixing.config.to_dict())
    for students in (1, 2):
        with pytest.raises(TrainError, match=r"base: in a packed sequence, this model's rows see each other.*packing"):
            check_rows_apart(mixing, "base", 64, students, torch.device("cpu"), bfloat16=False)


def test_the_windows_of_the_text_part_are_kept() -> None:
    from transformers import AutoConfig

    layers = {"layer_types": ["sliding_attention", "full_attention"], "num_hidden_layers": 2, "sliding_window": 4}
    assert attention_for(AutoConfig.for_model("gemma3", text_config=layers), packing=True) is None


def test_attention_that_would_be_ignored_is_an_error() -> None:
    import torch

    sinks = model("gpt_oss", PACKED_ATTENTION, layer_types=["full_attention"] * 2)
    with pytest.raises(TrainError, match=r"attention sinks. Remove 'packing: true'"):
        check_rows_apart(sinks, "base", 64, 1, torch.device("cpu"), bfloat16=False)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model_type": "llama"}, ""),
        ({"model_type": "afmoe"}, "'afmoe' has attention masks"),
        ({"model_type": "gemma3", "text_config": {"layer_types": ["sliding_attention", "full_attention"]}}, ""),
        ({"model_type": "falcon", "alibi": True}, "'falcon' has ALiBi"),
        ({"model_type": "falcon", "alibi": False}, ""),
        ({"model_type": "lfm2", "layer_types": ["conv", "full_attention"]}, "'lfm2' has convolutions"),
        ({"model_type": "new", "layer_types": ["linear_attention"]}, "'new' has layers of type linear_attention"),
        ({"model_type": "vl", "text_config": {"model_type": "qwen3_5_text"}}, "'qwen3_5_text' has state space"),
        ({"model_type": "rwkv"}, "'rwkv' has state space"),
    ],
)
def test_a_config_says_whether_rows_are_separated(config: dict[str, object], expected: str) -> None:
    assert packing_problem(config).startswith(expected) and bool(packing_problem(config)) == bool(expected)
