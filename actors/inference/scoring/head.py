"""The log-probabilities and ranks of given tokens from hidden states, without ever holding a batch's logits.

On a CPU, the output layer is computed in tiles of positions and vocabulary that fit into the cache. The logits of a
whole batch would be by far its largest tensor, and most of the time would be spent on writing it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CPU_TILE = (512, 512)  # positions, vocabulary
MAX_LOGITS = 2**26  # values; 256 MiB in float32
# A token is more likely than another if its logit is greater by more than this, in binary digits: products of the same
# numbers differ by rounding.
RANK_TOLERANCE = 1e-4
# Where MKL has no strict mode (`actors.matrix_products`), products still give a row the same bits whatever rows are
# below it, unless a thread has very few rows.
MIN_ROWS_PER_THREAD = 16
_HAS_PLAIN_HEAD: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


class TokenScores(NamedTuple):
    """The log-probabilities (float32) and the ranks (int64) of tokens, both [n]; no ranks if they were not asked for.

    The rank of a token is 1 plus the number of more likely ones. Tokens with equal logits do not count as more likely.
    """

    logprobs: torch.Tensor
    ranks: torch.Tensor | None = None


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


def head_scores(head: Any, hidden: torch.Tensor, tokens: torch.Tensor, ranked: bool = False) -> TokenScores:
    """Return the scores of `tokens` [n] under a linear layer over `hidden` [n, features].

    The logits are float32, also of a layer with 16 bits: a logit of 24 rounded to bfloat16 is off by up to 0.06, more
    than the loss of a confident token. A token's own logit comes from the same product as its normaliser, for the same
    reason.
    """
    weight, bias, count = head.weight, head.bias, len(hidden)
    if hidden.device.type != "cpu":
        parts = zip(*(each.split(max(1, MAX_LOGITS // len(weight))) for each in (hidden, tokens)), strict=True)
        return _joined([logits_scores(_device_logits(part, weight, bias), own, ranked) for part, own in parts], count)
    missing = max(0, min_rows() - count)
    hidden = torch.nn.functional.pad(hidden.float(), (0, 0, 0, missing))  # [n or more, features]
    tokens = torch.nn.functional.pad(tokens, (0, missing))  # [n or more]
    sizes = -(-len(hidden) // CPU_TILE[0])  # parts of equal size: none of them is small
    parts = zip(hidden.tensor_split(sizes), tokens.tensor_split(sizes), strict=True)
    return _joined([_tiled_scores(part, own, weight, bias, ranked) for part, own in parts], count)


def min_rows() -> int:
    """Return the fewest rows of a matrix product on the CPU that give each row the same bits as more rows would."""
    return MIN_ROWS_PER_THREAD * torch.get_num_threads()


def logits_scores(logits: torch.Tensor, tokens: torch.Tensor, ranked: bool = False) -> TokenScores:
    """Return the scores of `tokens` [n], from float32 logits [n, vocabulary]."""
    logprobs = -torch.nn.functional.cross_entropy(logits, tokens, reduction="none")
    if not ranked:
        return TokenScores(logprobs)
    own = logits.gather(1, tokens[:, None]) + RANK_TOLERANCE * math.log(2)  # [n, 1]
    return TokenScores(logprobs, 1 + (logits > own).sum(1))


def _joined(parts: Sequence[TokenScores], count: int) -> TokenScores:
    """Return the first `count` scores of the parts, one after another."""
    ranks = [part.ranks for part in parts if part.ranks is not None]
    return TokenScores(
        torch.cat([part.logprobs for part in parts])[:count], torch.cat(ranks)[:count] if ranks else None
    )


def _device_logits(hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Return float32 logits [n, vocabulary] of `hidden` [n, features] on a device other than the CPU."""
    if hidden.device.type == "cuda" and hidden.dtype != torch.float32:
        logits = torch.mm(hidden, weight.T, out_dtype=torch.float32)
        return logits if bias is None else logits.add_(bias)
    return torch.nn.functional.linear(hidden.float(), weight.float(), None if bias is None else bias.float())


def _tiled_scores(
    hidden: torch.Tensor, tokens: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, ranked: bool
) -> TokenScores:
    """Return the scores of `tokens` [n] for `hidden` [n, features], from tiles of the vocabulary.

    Logits are relative to the token's own, so that no maximum is needed, and have the base 2, whose exponentials are
    the fastest.
    """
    shift = (hidden * weight[tokens].float()).sum(1, keepdim=True)  # [n, 1]: the token's own logit, but for rounding
    if bias is not None:
        shift += bias[tokens, None].float()
    shift *= -1 / math.log(2)
    total, own = torch.zeros(len(hidden)), torch.zeros(len(hidden))  # [n]: sum of exponentials; own logit
    ranks = torch.ones(len(hidden), dtype=torch.long) if ranked else None  # [n]
    for start, places in _places_by_tile(tokens, len(weight)):
        tile, end = weight[start : start + CPU_TILE[1]].float(), start + CPU_TILE[1]
        offset = shift if bias is None else shift + bias[start:end].float() / math.log(2)  # [n, 1 or tile]
        logits = torch.addmm(offset, hidden, tile.T, alpha=1 / math.log(2))  # [n, tile]
        own[places] = logits[places, tokens[places] - start]
        if ranks is not None:
            ranks += (logits > RANK_TOLERANCE).sum(1)
        total += logits.exp2_().sum(1)
    values = ((own - total.log2()) * math.log(2)).clamp(max=0)  # [n]
    for place in total.isinf().nonzero()[:, 0].tolist():  # less likely than exp(-88)
        logits = torch.nn.functional.linear(hidden[place], weight.float(), None if bias is None else bias.float())
        values[place] = logits_scores(logits[None], tokens[place : place + 1]).logprobs[0]
    return TokenScores(values, ranks)


def _places_by_tile(tokens: torch.Tensor, vocabulary: int) -> Sequence[tuple[int, torch.Tensor]]:
    """Return the start of each tile of the vocabulary, and the indices of the `tokens` [n] that are in it."""
    starts = torch.arange(0, vocabulary, CPU_TILE[1])  # [tiles]
    ordered, order = tokens.sort()
    places = order.tensor_split(torch.searchsorted(ordered, starts[1:]))
    return list(zip(starts.tolist(), places, strict=True))
