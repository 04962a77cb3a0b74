"""Attention over packed rows, row by row. With a mask, all pairs of tokens would be computed and most discarded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PACKED_ATTENTION = "rows_apart"


def attention_for(config: Any, packing: bool) -> str | None:
    """Return the name of the attention for packed rows, or None for the model's own, which restarts with the positions.

    A model with sliding windows or capped scores keeps its own attention.
    """
    layers = getattr(config, "layer_types", None) or ["full_attention"]
    plain = set(layers) == {"full_attention"} and not getattr(config, "attn_logit_softcapping", None)
    windowed = getattr(config, "sliding_window", None) and not hasattr(config, "layer_types")
    if not packing or not plain or windowed:
        return None
    from transformers import AttentionInterface

    AttentionInterface.register(PACKED_ATTENTION, packed_attention)
    return PACKED_ATTENTION


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    row_lengths: Sequence[int],
    scaling: float | None = None,
    dropout: float = 0.0,
    **unused: Any,
) -> tuple[Tensor, None]:
    """Return causal attention within each of the concatenated rows, [1, tokens, heads, width].

    `query`, `key` and `value` are [1, heads, tokens, width].
    """
    grouped = query.shape[1] != key.shape[1]
    # of each row, [1, heads, tokens of the row, width]
    rows = zip(*(tensor.split(list(row_lengths), 2) for tensor in (query, key, value)), strict=True)
    attended = [
        F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True, scale=scaling, enable_gqa=grouped)
        for q, k, v in rows
    ]
    return torch.cat(attended, 2).transpose(1, 2).contiguous(), None  # [1, tokens, heads, width]
