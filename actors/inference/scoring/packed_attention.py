"""Attention over packed rows, row by row. With a mask, all pairs of tokens would be computed and most discarded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PACKED_ATTENTION = "rows_apart"
_UNSUPPORTED = {"s_aux": "attention sinks", "softcap": "capped scores", "sliding_window": "sliding windows"}


class UnsupportedAttention(Exception):
    """A layer asks for another kind of attention, which would be ignored."""


def register_packed_attention() -> str:
    """Return the name of `packed_attention`, under which transformers knows it from now on."""
    from transformers import AttentionInterface

    AttentionInterface.register(PACKED_ATTENTION, packed_attention)
    return PACKED_ATTENTION


def has_full_attention(config: Any) -> bool:
    """Return whether all layers of a model attend to all earlier tokens, without windows and capped scores."""
    text = config.get_text_config()
    layers = getattr(text, "layer_types", None) or ["full_attention"]
    windowed = getattr(text, "sliding_window", None) and not hasattr(text, "layer_types")
    return set(layers) == {"full_attention"} and not getattr(text, "attn_logit_softcapping", None) and not windowed


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    row_lengths: Sequence[int],
    scaling: float | None = None,
    dropout: float = 0.0,
    **others: Any,
) -> tuple[Tensor, None]:
    """Return causal attention within each of the concatenated rows, [1, tokens, heads, width].

    `query`, `key` and `value` are [1, heads, tokens, width].

    Raises:
        UnsupportedAttention: The layer asks for another kind of attention.
    """
    if kinds := [kind for name, kind in _UNSUPPORTED.items() if others.get(name) is not None]:
        raise UnsupportedAttention(f"this model's attention has {kinds[0]}")
    grouped = query.shape[1] != key.shape[1]
    # of each row, [1, heads, tokens of the row, width]
    rows = zip(*(tensor.split(list(row_lengths), 2) for tensor in (query, key, value)), strict=True)
    attended = [
        F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True, scale=scaling, enable_gqa=grouped)
        for q, k, v in rows
    ]
    return torch.cat([row.transpose(1, 2) for row in attended], 1).contiguous(), None  # [1, tokens, heads, width]
