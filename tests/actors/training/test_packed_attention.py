"""Packed rows: none sees another, in models that we attend for and in those that attend themselves."""

from __future__ import annotations

import pytest

from actors.training.batches import collate
from actors.training.learner import response_losses
from actors.training.packed_attention import PACKED_ATTENTION, attention_for

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
