"""Attention in packed rows: each row by itself, where a mask would compute all pairs of tokens and drop most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PACKED_ATTENTION = "rows_apart"


def attention_for(config: Any, packing: bool) -> str | None:
    """The attention that a model's packed rows need; None: the model's own, which heeds where positions restart.

    A model with windows or capped scores in its attention keeps its own.
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
    """Causal attention within each of the rows that lie one behind another; tensors are (1, heads, tokens, width)."""
    grouped = query.shape[1] != key.shape[1]
    rows = zip(*(tensor.split(list(row_lengths), 2) for tensor in (query, key, value)), strict=True)
    attended = [
        F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True, scale=scaling, enable_gqa=grouped)
        for q, k, v in rows
    ]
    return torch.cat(attended, 2).transpose(1, 2).contiguous(), None
