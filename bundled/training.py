"""The training loop: one example per row, rows of like length together, gradients accumulated over a step."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import LlamaForCausalLM

from bundled.corpus import Row

MICRO_BATCH_TOKENS = 768


@dataclass(frozen=True)
class Recipe:
    """How long and how fast: optimizer steps, rows in each, peak learning rates of matrices and of the rest."""

    steps: int
    rows: int = 64
    matrix_rate: float = 0.02
    rate: float = 6e-3
    warmup: int = 50


@dataclass(frozen=True)
class Batch:
    """Right-padded ids and loss weights, both (rows, tokens)."""

    ids: Tensor
    weights: Tensor


def batches(rows: Sequence[Row], pad: int) -> Iterator[Batch]:
    """The rows sorted by length and cut into padded batches of at most MICRO_BATCH_TOKENS."""
    pending: list[Row] = []
    for row in sorted(rows, key=lambda row: len(row.ids)):
        if pending and (len(pending) + 1) * len(row.ids) > MICRO_BATCH_TOKENS:
            yield _padded(pending, pad)
            pending = []
        pending.append(row)
    yield _padded(pending, pad)


def _padded(rows: Sequence[Row], pad: int) -> Batch:
    width = max(len(row.ids) for row in rows)
    ids = [row.ids + [pad] * (width - len(row.ids)) for row in rows]
    weights = [row.weights + [0.0] * (width - len(row.ids)) for row in rows]
    return Batch(torch.tensor(ids), torch.tensor(weights))


def weighted_loss(model: LlamaForCausalLM, batch: Batch) -> Tensor:
    """Sum of weighted cross-entropies in nats (scalar); the head is applied only where the weight is not zero."""
    hidden = model.model(input_ids=batch.ids[:, :-1], use_cache=False).last_hidden_state
    weights = batch.weights[:, 1:]
    wanted = weights > 0
    losses = F.cross_entropy(model.lm_head(hidden[wanted]), batch.ids[:, 1:][wanted], reduction="none")
    return (losses * weights[wanted]).sum()


class Muon:
    """Momentum whose steps are orthogonalised, for matrices: far fewer steps than AdamW where they are small.

    torch.optim.Muon computes in bfloat16, which is slow on CPUs without it; this one stays in float32 and treats
    matrices of one shape together.
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
            gradients = torch.stack([matrix.grad for matrix in group if matrix.grad is not None])
            momenta.lerp_(gradients, 1 - self._momentum)
            updates = orthogonalised(gradients.lerp(momenta, self._momentum))
            for matrix, update in zip(group, updates, strict=True):
                matrix.mul_(1 - rate * 0.01).add_(
                    update, alpha=-rate * max(1, matrix.shape[0] / matrix.shape[1]) ** 0.5
                )
                matrix.grad = None


def orthogonalised(matrices: Tensor) -> Tensor:
    """The nearest (semi-)orthogonal matrices, roughly, by five Newton-Schulz steps; shape (count, rows, columns)."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.775 * gram + 2.0315 * gram @ gram) @ x
    return x.mT if tall else x


class Optimizer:
    """Muon for the matrices of the blocks, AdamW for embeddings and norms, one schedule for both."""

    def __init__(self, model: LlamaForCausalLM, recipe: Recipe) -> None:
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


def train(
    model: LlamaForCausalLM,
    recipe: Recipe,
    draw: Callable[[int], Row],
    pad: int,
    report: Callable[[int, float, int], None],
) -> None:
    """Train in place. `draw(step)` gives a fresh row; `report(step, loss, tokens)` is called after every step."""
    model.train()
    optimizer = Optimizer(model, recipe)
    tokens = 0
    for index in range(recipe.steps):
        rows = [draw(index) for _ in range(recipe.rows)]
        total = sum(sum(row.weights) for row in rows)
        loss = 0.0
        for batch in batches(rows, pad):
            part = weighted_loss(model, batch) / total
            part.backward()
            loss += part.item()
            tokens += batch.ids.numel()
        optimizer.step(index)
        report(index, loss, tokens)
