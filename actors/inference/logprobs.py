"""Log-probabilities of given tokens by right-padded forward passes that never hold a batch's logits.

The output layer is computed in tiles of positions and vocabulary that fit into the cache, and only at positions before
a token to be predicted. The logits of a whole batch would be by far its largest tensor, and most of the time would be
spent on writing it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CPU_TOKENS_PER_PASS = 512  # so that the activations of a forward pass fit into a core's cache
CPU_VOCAB_TILE = (512, 1024)  # positions, vocabulary
MAX_LOGITS_PER_TILE = 2**26  # values; 256 MiB in float32
RowLogprobs = tuple[float | None, ...]
_HAS_PLAIN_HEAD: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


@torch.inference_mode()
def token_logprobs(
    model: PreTrainedModel, rows: Sequence[Sequence[int]], pad: int, on_pass: Callable[[], None]
) -> list[RowLogprobs]:
    """Return for each row the natural-log probability of each token given those before it; None for the first token.

    Each row has at least one token. `on_pass` is called after each forward pass.
    """
    scored: dict[int, RowLogprobs] = {}
    for group in batches_by_length(
        [len(row) for row in rows], CPU_TOKENS_PER_PASS if model.device.type == "cpu" else None
    ):
        values = _forward(model, [rows[index] for index in group], pad, on_pass)
        scored |= zip(group, values, strict=True)
    return [scored[index] for index in range(len(rows))]


def batches_by_length(lengths: Sequence[int], max_tokens: int | None) -> list[list[int]]:
    """Return indices of rows in groups of similar length, of at most `max_tokens` tokens with padding (None: no limit).

    A longer row is a group by itself. Rows of similar length need little padding. Rows packed into one would need none,
    but attention with a mask over all of them takes longer than the padding.
    """
    groups: list[list[int]] = [[]]
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if groups[-1] and max_tokens is not None and lengths[index] * (len(groups[-1]) + 1) > max_tokens:
            groups.append([])
        groups[-1].append(index)
    return groups


def _forward(
    model: PreTrainedModel, rows: Sequence[Sequence[int]], pad: int, on_pass: Callable[[], None]
) -> list[RowLogprobs]:
    width = max(len(row) for row in rows)
    ids = torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows], device=model.device)  # [rows, width]
    lengths = torch.tensor([len(row) for row in rows], device=model.device)  # [rows]
    predicted = torch.arange(1, width, device=model.device) < lengths[:, None]  # [rows, width - 1]
    # no attention mask: in a causal model no token attends to the padding on its right
    if has_plain_head(model):
        hidden = model.base_model(input_ids=ids, use_cache=False)[0][:, :-1][predicted]  # [predicted, features]
        values = head_logprobs(model.get_output_embeddings(), hidden, ids[:, 1:][predicted])  # [predicted]
        on_pass()
    else:
        values = _logprobs_from_logits(model, ids, predicted, on_pass)  # [predicted]
    return [(None, *part.tolist()) for part in values.cpu().split([len(row) - 1 for row in rows])]


def has_plain_head(model: PreTrainedModel) -> bool:
    """Return whether the logits are just a linear layer over the hidden states: some models scale or cap them."""
    if model not in _HAS_PLAIN_HEAD:
        head: Any = model.get_output_embeddings()
        _HAS_PLAIN_HEAD[model] = isinstance(head, torch.nn.Linear) and _is_pass_through(model, head)
    return _HAS_PLAIN_HEAD[model]


def _is_pass_through(model: PreTrainedModel, head: torch.nn.Linear) -> bool:
    """Return whether the head gets the hidden states unchanged, and the model returns the head's output unchanged."""
    ids = torch.ones((1, 2), dtype=torch.long, device=model.device)  # [1, 2]
    ramp = torch.linspace(-100, 100, head.out_features, device=model.device, dtype=head.weight.dtype).expand(
        1, 2, -1
    )  # [1, 2, vocabulary]
    given: list[torch.Tensor] = []

    def replace_output(_: Any, inputs: tuple[torch.Tensor], __: Any) -> torch.Tensor:
        given.append(inputs[0])
        return ramp

    with head.register_forward_hook(replace_output):
        logits = model(input_ids=ids, use_cache=False).logits  # [1, 2, vocabulary]
    hidden = model.base_model(input_ids=ids, use_cache=False)[0]  # [1, 2, features]
    return torch.equal(logits.float(), ramp.float()) and torch.allclose(given[0], hidden, rtol=1e-3)


def head_logprobs(head: Any, hidden: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Return the log-probabilities [n] (float32) of `tokens` [n] under a linear layer over `hidden` [n, features]."""
    weight, bias = head.weight, head.bias
    on_cpu = hidden.device.type == "cpu"
    positions, vocabulary = CPU_VOCAB_TILE if on_cpu else (max(1, MAX_LOGITS_PER_TILE // len(weight)), len(weight))
    biases = bias.split(vocabulary) if bias is not None else [None] * -(-len(weight) // vocabulary)
    tiles = list(zip(weight.split(vocabulary), biases, strict=True))
    pairs = zip(hidden.split(positions), tokens.split(positions), strict=True)
    return torch.cat([_tiled_logprobs(part, wanted, tiles) for part, wanted in pairs])


def _tiled_logprobs(
    hidden: torch.Tensor, tokens: torch.Tensor, tiles: Sequence[tuple[torch.Tensor, torch.Tensor | None]]
) -> torch.Tensor:
    """Return the log-probabilities [n] of `tokens` [n] for `hidden` [n, features], from tiles of the vocabulary.

    A token's own logit comes from the same product as its normaliser. Otherwise, differences of rounding between the
    two would be as large as the whole loss of a confident token.
    """
    total = torch.full((len(hidden),), -torch.inf, device=hidden.device)  # [n]: log of the sum of exponentials
    own, start = torch.zeros_like(total), 0  # [n]
    for weight, bias in tiles:
        logits = float32_logits(hidden, weight, bias)  # [n, tile]
        place = tokens - start  # [n]
        inside = (place >= 0) & (place < len(weight))  # [n]
        own = torch.where(inside, logits.gather(1, place.clamp(0, len(weight) - 1)[:, None])[:, 0], own)
        # log_softmax reads the logits once, while they are in the cache; logsumexp would read them several times
        total = torch.logaddexp(total, logits[:, 0] - torch.log_softmax(logits, 1)[:, 0])
        start += len(weight)
    return (own - total).clamp(max=0)


def float32_logits(hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Return `hidden` [n, features] times `weight` [tile, features], in float32 also if both have 16 bits, [n, tile].

    A logit of 24 rounded to bfloat16 is off by up to 0.06, more than the loss of a confident token.
    """
    if hidden.dtype == torch.float32:
        return torch.nn.functional.linear(hidden, weight, bias)
    if hidden.device.type != "cuda":
        return torch.nn.functional.linear(hidden.float(), weight.float(), None if bias is None else bias.float())
    logits = torch.mm(hidden, weight.T, out_dtype=torch.float32)  # [n, tile]
    return logits if bias is None else logits.add_(bias)


def _logprobs_from_logits(
    model: PreTrainedModel, ids: torch.Tensor, predicted: torch.Tensor, on_pass: Callable[[], None]
) -> torch.Tensor:
    """Return the same from the model's own logits [predicted], for a few rows at a time to limit the memory."""
    width, vocabulary = ids.shape[1], int(model.get_input_embeddings().weight.shape[0])  # pyright: ignore[reportIndexIssue]
    step = max(1, MAX_LOGITS_PER_TILE // (width * vocabulary))
    values: list[torch.Tensor] = []
    for part, wanted in zip(ids.split(step), predicted.split(step), strict=True):
        logits = model(input_ids=part, use_cache=False).logits[:, :-1][wanted].float()  # [predicted, vocabulary]
        values.append(-torch.nn.functional.cross_entropy(logits, part[:, 1:][wanted], reduction="none"))
        on_pass()
    return torch.cat(values)
