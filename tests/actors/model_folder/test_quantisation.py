"""What the quantization_config of published checkpoints says about their weights."""

from __future__ import annotations

from typing import Any

import pytest

from actors.model_folder import quantisation
from actors.model_folder.quantisation import bytes_per_weight, is_kept, kept_modules, method, missing_package

AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemm"}
GPTQ_8 = {"quant_method": "gptq", "bits": 8, "group_size": -1}
FP8 = {"quant_method": "fbgemm_fp8", "activation_scale_ub": 1200.0, "modules_to_not_convert": ["lm_head"]}
NF4 = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
INT8 = {"quant_method": "bitsandbytes", "load_in_8bit": True, "load_in_4bit": False}
W4A16 = {
    "quant_method": "compressed-tensors",
    "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 4, "group_size": 128}}},
}
Q = "model.layers.0.self_attn.q_proj"
W8A8 = {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 8}}}}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (AWQ, 0.5 + 2.5 / 128),
        (GPTQ_8, 1.0),
        (FP8, 1.0),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, 1.0),
        (NF4, 0.5625),
        (INT8, 1.0),
        (W4A16, 0.5 + 2.5 / 128),
        (W8A8, 1.0),
        ({"quant_method": "mxfp4"}, 0.53125),
        ({"quant_method": "invented"}, None),
    ],
)
def test_bytes_per_weight(settings: dict[str, Any], expected: float | None) -> None:
    assert bytes_per_weight({"model_type": "llama", "quantization_config": settings}) == expected


def test_other_checkpoints_are_not_quantised() -> None:
    for config in ({}, {"quantization_config": None}, {"model_type": "llama"}):
        assert (bytes_per_weight(config), method(config), missing_package(config)) == (None, "", None)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantisation, "find_spec", lambda name: None)
    assert missing_package({"quantization_config": AWQ}) == "gptqmodel"
    assert missing_package({"quantization_config": NF4}) == "bitsandbytes"
    assert missing_package({"quantization_config": {"quant_method": "fp8"}}) is None


@pytest.mark.parametrize(
    ("settings", "module", "kept"),
    [
        (
            {"quant_method": "fbgemm_fp8", "modules_to_not_convert": ["lm_head", "model.layers.0.self_attn.q_proj"]},
            0,
            True,
        ),
        ({"quant_method": "fbgemm_fp8", "modules_to_not_convert": [Q]}, 10, False),
        ({"quant_method": "awq", "modules_to_not_convert": ["self_attn"]}, 10, True),
        ({"quant_method": "awq", "modules_to_not_convert": ["attn"]}, 10, False),
        ({"quant_method": "compressed-tensors", "ignore": ["lm_head", "re:.*self_attn.q_proj$"]}, 0, True),
        ({"quant_method": "compressed-tensors", "ignore": ["lm_head", "re:.*mlp.gate$"]}, 0, False),
        ({"quant_method": "modelopt", "ignore": ["model.layers.1*", "lm_head"]}, 10, True),
        ({"quant_method": "fp8", "ignored_layers": ["model.layers.1"]}, 10, False),
        ({"quant_method": "bitsandbytes", "llm_int8_skip_modules": ["q_proj"]}, 0, True),
    ],
)
def test_modules_that_stay_in_16_bit(settings: dict[str, Any], module: int, kept: bool) -> None:
    patterns = kept_modules({"quantization_config": settings})
    assert is_kept(f"model.layers.{module}.self_attn.q_proj", patterns) == kept


def test_embeddings_and_output_layers_are_counted_anyway() -> None:
    for settings in ({"modules_to_not_convert": ["lm_head"]}, {"ignore": ["re:.*lm_head"]}, {"ignore": None}, {}):
        assert kept_modules({"quantization_config": {"quant_method": "fp8"} | settings}) == ()
