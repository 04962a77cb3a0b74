"""Log-probabilities of given tokens by right-padded forward passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LOGITS_AT_ONCE = 2**28  # values of one forward pass's logits; 1 GiB in float32

Scored = tuple[float | None, ...]


@torch.inference_mode()
def score_rows(
    model: PreTrainedModel, rows: Sequence[Sequence[int]], pad: int, on_pass: Callable[[], None]
) -> list[Scored]:
    """For each row (at least one token) the natural-log probability of each token given those before it.

    The first token has none. A large vocabulary splits the rows over several passes to bound memory; `on_pass` is
    called after each.
    """
    width, vocabulary = max(len(row) for row in rows), int(model.get_input_embeddings().weight.shape[0])  # pyright: ignore[reportIndexIssue]
    step = max(1, LOGITS_AT_ONCE // (width * vocabulary))
    scored: list[Scored] = []
    for start in range(0, len(rows), step):
        scored += _one_pass(model, rows[start : start + step], pad)
        on_pass()
    return scored


def _one_pass(model: PreTrainedModel, rows: Sequence[Sequence[int]], pad: int) -> list[Scored]:
    width = max(len(row) for row in rows)
    ids = torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows], device=model.device)
    # no attention mask: in a causal model no token sees the padding on its right
    logits = model(input_ids=ids, use_cache=False).logits
    return [_row_logprobs(logits[i], ids[i], len(row)) for i, row in enumerate(rows)]


def _row_logprobs(logits: torch.Tensor, ids: torch.Tensor, length: int) -> Scored:
    # one row at a time, so that only one row's float32 logits are alive
    losses = torch.nn.functional.cross_entropy(logits[: length - 1].float(), ids[1:length], reduction="none")
    return (None, *(-losses).tolist())
