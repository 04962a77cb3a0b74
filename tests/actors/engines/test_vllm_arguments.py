"""vLLM's engine arguments follow the options of a study. Nothing here needs vLLM."""

from __future__ import annotations

from typing import Any

import pytest
from transformers import AutoConfig

from actors.engine import EngineSpec
from actors.engines.vllm_arguments import SPECULATIVE, engine_arguments, speculative_error

CONFIG = AutoConfig.for_model("llama", max_position_embeddings=512)


def arguments(**options: Any) -> dict[str, Any]:
    return engine_arguments(EngineSpec("vllm", "folder", options=tuple(options.items())), CONFIG)


def test_without_options_the_checkpoint_is_served_as_it_is() -> None:
    plain = arguments()
    assert (plain["quantization"], plain["kv_cache_dtype"], plain[SPECULATIVE]) == (None, "auto", None)
    assert plain["enable_expert_parallel"] is False


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
