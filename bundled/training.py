"""The training loop: one example per row, rows of similar length together, gradients accumulated over a step."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import LlamaForCausalLM, LlamaForSequenceClassification

from bundled.corpus import TokenRow

MICRO_BATCH_TOKENS = 2048
MIN_SHARED_TOKENS = 64
"""A common prefix of fewer tokens is computed for each row separately."""
Losses = Callable[[int], Iterator[tuple[Tensor, int]]]
"""The losses of a step (from 0): one per batch, which add up to the step's loss, with the tokens of the batch."""


@dataclass(frozen=True)
class Recipe:
    """Optimizer steps, rows per step, and peak learning rates of matrices and of other parameters.

    `bfloat16` activations are a third faster on CPUs that support them.
    """

    steps: int
    rows: int = 64
    matrix_rate: float = 0.02
    rate: float = 6e-3
    warmup: int = 50
    bfloat16: bool = False


@dataclass(frozen=True)
class Batch:
    """The common prefix of all rows (ids, [tokens], may be empty), then right-padded ids and weights [rows, tokens]."""

    prefix: Tensor
    ids: Tensor
    weights: Tensor

    @property
    def tokens(self) -> int:
        """The number of tokens that are computed."""
        return self.prefix.numel() + self.ids.numel()


def batches(rows: Sequence[TokenRow], pad: int) -> Iterator[Batch]:
    """Yield padded batches of `MICRO_BATCH_TOKENS`: rows with a long common prefix together, sorted by length."""
    for shared, group in _groups(rows):
        pending: list[TokenRow] = []
        for row in sorted(group, key=lambda row: len(row.ids)):
            if pending and (len(pending) + 1) * (len(row.ids) - shared) > MICRO_BATCH_TOKENS:
                yield _pad(pending, shared, pad)
                pending = []
            pending.append(row)
        yield _pad(pending, shared, pad)


def _groups(rows: Sequence[TokenRow]) -> Iterator[tuple[int, list[TokenRow]]]:
    """Yield rows by common prefix, with the number of its tokens; last, all rows without a long common prefix."""
    others: list[TokenRow] = []
    for _, equal in itertools.groupby(
        sorted(rows, key=lambda row: row.ids), key=lambda row: row.ids[:MIN_SHARED_TOKENS]
    ):
        group = list(equal)
        # Sorted, so a common prefix of the first and the last row is one of all rows
        common = sum(1 for _ in itertools.takewhile(_equal, zip(group[0].ids, group[-1].ids, strict=False)))
        unlearned = min(next(place for place, weight in enumerate(row.weights) if weight) for row in group)
        shared = min(common, unlearned - 1)
        if len(group) > 1 and shared >= MIN_SHARED_TOKENS:
            yield shared, group
        else:
            others += group
    if others:
        yield 0, others


def _equal(pair: tuple[int, int]) -> bool:
    return pair[0] == pair[1]


def _pad(rows: Sequence[TokenRow], shared: int, pad: int) -> Batch:
    width = max(len(row.ids) for row in rows)
    ids = [row.ids[shared:] + [pad] * (width - len(row.ids)) for row in rows]  # [rows, width - shared]
    weights = [row.weights[shared:] + [0.0] * (width - len(row.ids)) for row in rows]  # [rows, width - shared]
    return Batch(torch.tensor(rows[0].ids[:shared], dtype=torch.long), torch.tensor(ids), torch.tensor(weights))


def weighted_loss(model: LlamaForCausalLM, batch: Batch) -> Tensor:
    """Return the sum of weighted cross-entropies in nats (scalar). The head runs only where the weight is not zero."""
    hidden = _hidden(model, batch.prefix, batch.ids[:, :-1])  # [rows, tokens - 1, width]
    weights = batch.weights[:, 1:]  # [rows, tokens - 1]
    wanted = weights > 0  # [rows, tokens - 1]
    # [wanted]
    losses = F.cross_entropy(model.lm_head(hidden[wanted]), batch.ids[:, 1:][wanted], reduction="none")
    return (losses * weights[wanted]).sum()


def _hidden(model: LlamaForCausalLM, prefix: Tensor, ids: Tensor) -> Tensor:
    """Return the last hidden states of the rows `ids`, each after the prefix, whose keys and values are computed once.

    `prefix` is [prefix tokens], `ids` is [rows, tokens], and the result is [rows, tokens, width].
    """
    if not prefix.numel():
        return model.model(input_ids=ids, use_cache=False).last_hidden_state
    cache = model.model(input_ids=prefix[None], use_cache=True).past_key_values
    cache.batch_repeat_interleave(len(ids))
    return model.model(input_ids=ids, past_key_values=cache, use_cache=True).last_hidden_state


class Muon:
    """Momentum with orthogonalised updates, for matrices: small models need far fewer steps than with AdamW.

    torch.optim.Muon computes in bfloat16, which is slow on CPUs without support for it. This one stays in float32, and
    handles all matrices of one shape together.
    """

    def __init__(self, matrices: Sequence[Tensor], momentum: float = 0.95) -> None:
        shapes = sorted({tuple(matrix.shape) for matrix in matrices})
        self._groups = [[matrix for matrix in matrices if tuple(matrix.shape) == shape] for shape in shapes]
        self._momenta = [torch.zeros(len(group), *group[0].shape, device=group[0].device) for group in self._groups]
        self._momentum = momentum

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Apply and clear the gradients."""
        for group, momenta in zip(self._groups, self._momenta, strict=True):
            # [matrices, rows, columns]
            gradients = torch.stack([matrix.grad for matrix in group if matrix.grad is not None])
            momenta.lerp_(gradients, 1 - self._momentum)
            updates = orthogonalise(gradients.lerp(momenta, self._momentum))  # [matrices, rows, columns]
            for matrix, update in zip(group, updates, strict=True):
                matrix.mul_(1 - rate * 0.01).add_(
                    update, alpha=-rate * max(1, matrix.shape[0] / matrix.shape[1]) ** 0.5
                )
                matrix.grad = None


def orthogonalise(matrices: Tensor) -> Tensor:
    """Return roughly the nearest (semi-)orthogonal matrices [count, rows, columns], by five Newton-Schulz steps."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices  # [count, short, long]
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.mT  # [count, short, short]
        x = 3.4445 * x + (-4.775 * gram + 2.0315 * gram @ gram) @ x
    return x.mT if tall else x


class Optimizer:
    """Muon for the matrices of the blocks, AdamW for embeddings and norms, one schedule for both."""

    def __init__(self, model: LlamaForCausalLM | LlamaForSequenceClassification, recipe: Recipe) -> None:
        matrices = [p for p in model.model.layers.parameters() if p.ndim == 2]
        others = [p for p in model.parameters() if not any(p is m for m in matrices)]
        self._muon = Muon(matrices)
        self._adam = torch.optim.AdamW(others, lr=recipe.rate, betas=(0.9, 0.98), weight_decay=0.0)
        self._recipe = recipe

    def step(self, index: int) -> None:
        """Apply and clear the gradients with the learning rate of step `index` (from 0)."""
        scale = self._scale(index)
        self._muon.step(self._recipe.matrix_rate * scale)
        self._adam.param_groups[0]["lr"] = self._recipe.rate * scale
        self._adam.step()
        self._adam.zero_grad(set_to_none=True)

    def _scale(self, index: int) -> float:
        warm = min(1.0, (index + 1) / self._recipe.warmup)
        # Constant for the first 40 %, then linear to a hundredth
        left = 1 - index / self._recipe.steps
        return warm * max(0.01, min(1.0, left / 0.6))


def row_losses(model: LlamaForCausalLM, recipe: Recipe, draw: Callable[[int], TokenRow], pad: int) -> Losses:
    """Return the losses of a step's new rows, drawn by `draw(step)`: weighted means, batch by batch."""

    def losses(step: int) -> Iterator[tuple[Tensor, int]]:
        rows = [draw(step) for _ in range(recipe.rows)]
        total = sum(sum(row.weights) for row in rows)
        for batch in batches(rows, pad):
            with torch.autocast(model.device.type, torch.bfloat16, enabled=recipe.bfloat16):
                part = weighted_loss(model, batch) / total
            yield part, batch.tokens

    return losses


def train(
    model: LlamaForCausalLM | LlamaForSequenceClassification,
    recipe: Recipe,
    losses: Losses,
    report: Callable[[int, float, int], None],
) -> None:
    """Train in place. `report(step, loss, tokens)` is called after every step."""
    model.train()
    optimizer = Optimizer(model, recipe)
    tokens = 0
    for index in range(recipe.steps):
        loss = 0.0
        for part, seen in losses(index):
            part.backward()
            loss += part.item()
            tokens += seen
        optimizer.step(index)
        report(index, loss, tokens)
