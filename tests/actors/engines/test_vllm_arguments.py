"""vLLM's engine arguments follow the options of a study. Nothing here needs vLLM."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from transformers import AutoConfig

from actors.engine import EngineSpec
from actors.engines import vllm_arguments
from actors.engines.vllm_arguments import SPECULATIVE, engine_arguments, speculative_error

CONFIG = AutoConfig.for_model("llama", max_position_embeddings=512)


def arguments(**options: Any) -> dict[str, Any]:
    return engine_arguments(EngineSpec("vllm", "folder", options=tuple(options.items())), CONFIG)


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with GPUs."""
    monkeypatch.setattr(vllm_arguments, "device_name", lambda: "cuda")


def test_without_options_the_checkpoint_is_served_as_it_is() -> None:
    plain = arguments()
    assert (plain["quantization"], plain["kv_cache_dtype"], plain[SPECULATIVE]) == (None, "auto", None)
    assert plain["enable_expert_parallel"] is False
    assert "batch_invariant" not in plain  # vLLM takes it from the environment


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("quantization", "fp8"),
        ("kv_cache_dtype", "fp8"),
        ("enable_expert_parallel", True),
        (SPECULATIVE, {"model": "draft", "num_speculative_tokens": 4}),
        (SPECULATIVE, {"method": "ngram", "num_speculative_tokens": 2, "prompt_lookup_max": 3}),
    ],
)
def test_an_option_is_the_argument_of_its_name(name: str, value: object) -> None:
    changed = arguments(**{name: value})
    assert changed.pop(name) == value
    plain = arguments()
    plain.pop(name)
    assert changed == plain


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"tokens": 4}, "speculative_config has no setting 'tokens'; it has method, model"),
        ({"model": "x"}, "num_speculative_tokens is missing"),
        ({"num_speculative_tokens": 4}, "model (a draft model) or method (such as ngram) is missing"),
        ({"model": "x", "num_speculative_tokens": 0}, "num_speculative_tokens must be a positive whole number, not 0"),
        ({"model": "x", "num_speculative_tokens": True}, "num_speculative_tokens must be a positive whole number"),
        ({"model": 3, "num_speculative_tokens": 4}, "model must be a text, not 3"),
    ],
)
def test_wrong_settings_of_speculation_are_told(settings: dict[str, Any], expected: str) -> None:
    assert speculative_error(settings).startswith(expected)
    with pytest.raises(ValueError, match="engine 'vllm': "):
        arguments(**{SPECULATIVE: settings})


def test_on_gpus_vllm_chooses_the_size_of_batches_unless_the_study_does(cuda: None) -> None:
    assert arguments()["max_num_batched_tokens"] is None
    assert arguments(max_num_batched_tokens=16384)["max_num_batched_tokens"] == 16384


def test_on_a_cpu_a_batch_holds_a_whole_text() -> None:
    assert arguments()["max_num_batched_tokens"] == 2048
    assert arguments(max_num_batched_tokens=4096)["max_num_batched_tokens"] == 4096
    assert arguments(max_num_batched_tokens=100)["max_num_batched_tokens"] == 513


def test_adapters_of_float32_models_are_refused_on_gpus(cuda: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_arguments, "lora_rank_limits", lambda: (16,))
    float32 = EngineSpec("vllm", "folder", dtype="float32")
    assert "enable_lora" not in engine_arguments(float32, CONFIG)
    assert engine_arguments(replace(float32, dtype="bfloat16"), CONFIG, rank=8)["enable_lora"] is True
    with pytest.raises(ValueError, match="to 16-bit weights only, not float32; set 'dtype'"):
        engine_arguments(float32, CONFIG, rank=8)
