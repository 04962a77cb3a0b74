"""All products between two panels of vectors, a block at a time, and what each vector learns from them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from pipelines.operators.similarity.vectors import NEAR_DISTANCE, DistinctRows, Nearest, Vectors

BLOCK_SIZE = 512  # vectors on each side: the products stay in the cache
NEAR_PRODUCT = 1 - NEAR_DISTANCE / 2  # the product above which 2 - 2cos is nearer than NEAR


def compare_panels(
    vectors: Vectors, distinct: DistinctRows, others: Vectors | None = None, other_distinct: DistinctRows | None = None
) -> tuple[Nearest, ...]:
    """What the distinct vectors of a panel find in another panel and those in them, or all of one panel in itself.

    The vectors are arguments of their own because Ray resolves references only there.
    """
    left = _Panel(vectors, distinct)
    products = _BlockProducts()
    if others is None or other_distinct is None:
        products.compute_within(left)
        return (products.nearest(left, left),)
    right = _Panel(others, other_distinct)
    products.compute_between(left, right)
    return products.nearest(left, right), products.nearest(right, left)


class _Panel:
    """The distinct vectors of a panel [n, d], and the block in which each has seen its best product so far."""

    def __init__(self, vectors: Vectors, distinct: DistinctRows) -> None:
        rows, copies, start = distinct
        self.vectors = torch.from_numpy(vectors[rows])
        self.copies = torch.from_numpy(copies.astype(np.float32))
        self.start = start
        self.best = torch.full((len(rows),), -torch.inf)
        self.block = torch.zeros(len(rows), dtype=torch.int64)
        self.near = torch.zeros(len(rows), dtype=torch.float64)
        self.blocks = [slice(low, min(low + BLOCK_SIZE, len(rows))) for low in range(0, len(rows), BLOCK_SIZE)]

    def update(self, mine: slice, highest: torch.Tensor, block: int) -> None:
        """Take note of the highest products [mine] with the vectors of one block of the other side."""
        better = highest > self.best[mine]
        torch.where(better, highest, self.best[mine], out=self.best[mine])
        self.block[mine].masked_fill_(better, block)


class _BlockProducts:
    """Blocks of products, all made in the same memory: fetching fresh memory takes as long as multiplying."""

    def __init__(self) -> None:
        self.product_memory, self.near_memory = (
            torch.empty(BLOCK_SIZE * BLOCK_SIZE),
            torch.empty(BLOCK_SIZE * BLOCK_SIZE),
        )

    def products(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """The products [left, right], until the next ones are made."""
        shape = len(left), len(right)
        return torch.mm(left, right.T, out=self.product_memory[: shape[0] * shape[1]].view(shape))

    def compute_within(self, side: _Panel) -> None:
        """Let the vectors of one panel meet one another."""
        for number, mine in enumerate(side.blocks):
            square = self.products(side.vectors[mine], side.vectors[mine]).fill_diagonal_(-torch.inf)
            highest = square.amax(1)
            side.update(mine, highest, number)
            if highest.max() > NEAR_PRODUCT:
                side.near[mine] += self.near_mask(square) @ side.copies[mine]
            for other in range(number + 1, len(side.blocks)):
                self.compute(side, number, side, other)

    def compute_between(self, left: _Panel, right: _Panel) -> None:
        """Let the vectors of two panels meet."""
        for number in range(len(left.blocks)):
            for other in range(len(right.blocks)):
                self.compute(left, number, right, other)

    def compute(self, left: _Panel, number: int, right: _Panel, other: int) -> None:
        """Let two blocks meet: both learn from the same products."""
        mine, theirs = left.blocks[number], right.blocks[other]
        products = self.products(left.vectors[mine], right.vectors[theirs])
        highest = products.amax(1)
        left.update(mine, highest, other)
        right.update(theirs, products.amax(0), number)
        if highest.max() > NEAR_PRODUCT:
            close = self.near_mask(products)
            left.near[mine] += close @ right.copies[theirs]
            right.near[theirs] += left.copies[mine] @ close

    def near_mask(self, products: torch.Tensor) -> torch.Tensor:
        """1 where a product belongs to two near vectors, else 0."""
        return torch.gt(products, NEAR_PRODUCT, out=self.near_memory[: products.numel()].view(products.shape))

    def nearest(self, side: _Panel, other: _Panel) -> Nearest:
        """The neighbours of one side's vectors on the other side, with distances made of the differences."""
        place = torch.zeros(len(side.best), dtype=torch.int64)
        distance = torch.full((len(side.best),), torch.inf, dtype=torch.float64)
        for theirs, rows in _best_rows_by_block(side, other):
            products = self.products(side.vectors[rows], other.vectors[theirs])
            if side is other:
                products[rows.unsqueeze(1) == torch.arange(theirs.start, theirs.stop)] = -torch.inf
            place[rows] = torch.from_numpy(products.numpy().argmax(1)) + theirs.start
            difference = side.vectors[rows].double() - other.vectors[place[rows]].double()
            distance[rows] = difference.square().sum(1)
        return Nearest(distance.numpy(), place.numpy() + other.start, side.near.numpy())


def _best_rows_by_block(side: _Panel, other: _Panel) -> Iterator[tuple[slice, torch.Tensor]]:
    """Each block of the other side with the rows that have their best product there, BLOCK rows at most at a time."""
    for number, theirs in enumerate(other.blocks):
        # a panel of one vector has nothing to find in itself
        rows = ((side.block == number) & side.best.isfinite()).nonzero().squeeze(1)
        for part in rows.split(BLOCK_SIZE):
            if len(part):
                yield theirs, part
