"""Chooses the attention of a training on packed rows, and compares two packed rows with the rows alone before it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from actors.inference.chat_template import IGNORED
from actors.inference.scoring.packed_attention import (
    UnsupportedAttention,
    has_full_attention,
    register_packed_attention,
)
from actors.model_folder.packing import PACKING_REMEDY
from actors.training.batches import Batch, collate
from actors.training.spec import TrainError

CHECKED_LENGTHS = (13, 5)  # tokens of the two rows; the second is short, so that convolutions reach all of it
# share of the logits' standard deviation: rounding stays below it in bfloat16, and rows that see each other above
PACKING_TOLERANCE = 0.2


def attention_for(config: Any, packing: bool) -> str | None:
    """Return the name of the attention for packed rows, or None for the model's own, which restarts with the positions.

    A model with sliding windows or capped scores keeps its own attention.
    """
    return register_packed_attention() if packing and has_full_attention(config) else None


@torch.no_grad()
def check_rows_apart(
    model: nn.Module, base: str, vocabulary: int, students: int, device: torch.device, bfloat16: bool
) -> None:
    """Check that the logits of a packed row are those of the row alone. The model is in training mode afterwards.

    Raises:
        TrainError: They differ, so rows would be trained on their neighbours, or the model's attention is unsupported.
    """
    generator = torch.Generator().manual_seed(0)
    ids = [torch.randint(vocabulary, (length,), generator=generator).tolist() for length in CHECKED_LENGTHS]
    first, second = ({"input_ids": row, "labels": [IGNORED] * len(row)} for row in ids)
    model.eval()
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            packed = _row_logits(model, collate([[first, second]] * students, 0, packing=True).to(device), len(ids[0]))
            alone = _row_logits(model, collate([[second]] * students, 0, packing=True).to(device), 0)
    except UnsupportedAttention as error:
        raise TrainError(f"rows cannot be packed for {base}: {error}. {PACKING_REMEDY}") from error
    model.train()
    if not float((packed - alone).abs().max()) <= PACKING_TOLERANCE * float(alone.std()):
        reason = "in a packed sequence, this model's rows see each other (their logits are not those of the rows alone)"
        raise TrainError(f"{base}: {reason}. {PACKING_REMEDY}")


def _row_logits(model: nn.Module, batch: Batch, start: int) -> Tensor:
    """Return the logits of the second checked row, which begins at token `start`, [tokens, vocabulary]."""
    logits = model(**batch.inputs, row_lengths=batch.row_lengths, use_cache=False).logits
    return logits[0, start : start + CHECKED_LENGTHS[1]].float()
