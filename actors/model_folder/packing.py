"""Which models may be trained on packed rows: those whose layers separate the rows of a sequence by their positions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PACKING_REMEDY = "Remove 'packing: true': padded rows are trained with the same result"
_STATEFUL = "state space or linear attention layers, whose state passes from row to row"
_SEPARABLE_LAYERS = {"full_attention", "sliding_attention", "chunked_attention"}
# config.json names the layers of most hybrid models; these are the families that it does not
_BY_TYPE = {
    **dict.fromkeys(
        "bamba falcon_h1 falcon_mamba granitemoehybrid jamba mamba mamba2 minimax nemotron_h olmo_hybrid plamo2 "
        "qwen3_next qwen3_5 qwen3_5_text qwen3_5_moe qwen3_5_moe_text kimi_linear recurrent_gemma rwkv xlstm zamba "
        "zamba2".split(),
        _STATEFUL,
    ),
    **dict.fromkeys(("lfm2", "lfm2_moe", "lfm2_vl"), "convolutions, which mix the tokens of neighbouring rows"),
    **dict.fromkeys(("bloom", "mpt"), "ALiBi instead of positions"),
    **dict.fromkeys(("afmoe", "gpt_oss"), "attention masks that transformers makes without the rows' positions"),
    **dict.fromkeys(("gpt_bigcode", "gpt_neox_japanese", "xglm"), "no positions that restart within a sequence"),
}


def packing_problem(config: Mapping[str, Any]) -> str:
    """Return why rows packed into one sequence would see each other in the model of a config.json; empty if not."""
    text = config.get("text_config")
    if isinstance(text, Mapping) and (inner := packing_problem(text)):
        return inner
    kind = str(config.get("model_type"))
    reason = _BY_TYPE.get(kind) or (_BY_TYPE["bloom"] if config.get("alibi") else "") or _unseparated_layers(config)
    return f"'{kind}' has {reason}" if reason else ""


def _unseparated_layers(config: Mapping[str, Any]) -> str:
    layers = config.get("layer_types") or config.get("layers_block_type") or ()
    others = sorted({str(layer) for layer in layers} - _SEPARABLE_LAYERS - {"attention"})
    return f"layers of type {', '.join(others)}, which do not separate rows" if others else ""
