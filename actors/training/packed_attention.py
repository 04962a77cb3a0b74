"""Attention over packed rows, row by row. With a mask, all pairs of tokens would be computed and most discarded.

Before a training, two packed rows are compared with the rows alone: not every architecture separates rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from actors.inference.chat_template import IGNORED
from actors.model_folder.packing import PACKING_REMEDY
from actors.training.batches import Batch, collate
from actors.training.spec import TrainError

PACKED_ATTENTION = "rows_apart"
CHECKED_LENGTHS = (13, 5)  # tokens of the two rows; the second is short, so that convolutions reach all of it
# share of the logits' standard deviation: rounding stays below it in bfloat16, and rows that see each other above
PACKING_TOLERANCE = 0.2
_UNSUPPORTED = {"s_aux": "attention sinks", "softcap": "capped scores", "sliding_window": "sliding windows"}


def attention_for(config: Any, packing: bool) -> str | None:
    """Return the name of the attention for packed rows, or None for the model's own, which restarts with the positions.

    A model with sliding windows or capped scores keeps its own attention.
    """
    text = config.get_text_config()
    layers = getattr(text, "layer_types", None) or ["full_attention"]
    plain = set(layers) == {"full_attention"} and not getattr(text, "attn_logit_softcapping", None)
    windowed = getattr(text, "sliding_window", None) and not hasattr(text, "layer_types")
    if not packing or not plain or windowed:
        return None
    from transformers import AttentionInterface

    AttentionInterface.register(PACKED_ATTENTION, packed_attention)
    return PACKED_ATTENTION


@torch.no_grad()
def check_rows_apart(
    model: nn.Module, base: str, vocabulary: int, students: int, device: torch.device, bfloat16: bool
) -> None:
    """Check that the logits of a packed row are those of the row alone. The model is in training mode afterwards.

    Raises:
        TrainError: They differ, so rows would be trained on their neighbours.
    """
    generator = torch.Generator().manual_seed(0)
    ids = [torch.randint(vocabulary, (length,), generator=generator).tolist() for length in CHECKED_LENGTHS]
    first, second = ({"input_ids": row, "labels": [IGNORED] * len(row)} for row in ids)
    model.eval()
    with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
        packed = _row_logits(model, collate([[first, second]] * students, 0, packing=True).to(device), len(ids[0]))
        alone = _row_logits(model, collate([[second]] * students, 0, packing=True).to(device), 0)
    model.train()
    if not float((packed - alone).abs().max()) <= PACKING_TOLERANCE * float(alone.std()):
        reason = "in a packed sequence, this model's rows see each other (their logits are not those of the rows alone)"
        raise TrainError(f"{base}: {reason}. {PACKING_REMEDY}")


def _row_logits(model: nn.Module, batch: Batch, start: int) -> Tensor:
    """Return the logits of the second checked row, which begins at token `start`, [tokens, vocabulary]."""
    logits = model(**batch.inputs, row_lengths=batch.row_lengths, use_cache=False).logits
    return logits[0, start : start + CHECKED_LENGTHS[1]].float()


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
        TrainError: The layer asks for another kind of attention, which would be ignored.
    """
    if kinds := [kind for name, kind in _UNSUPPORTED.items() if others.get(name) is not None]:
        raise TrainError(f"rows cannot be packed for this model: its attention has {kinds[0]}. {PACKING_REMEDY}")
    grouped = query.shape[1] != key.shape[1]
    # of each row, [1, heads, tokens of the row, width]
    rows = zip(*(tensor.split(list(row_lengths), 2) for tensor in (query, key, value)), strict=True)
    attended = [
        F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True, scale=scaling, enable_gqa=grouped)
        for q, k, v in rows
    ]
    return torch.cat(attended, 2).transpose(1, 2).contiguous(), None  # [1, tokens, heads, width]
