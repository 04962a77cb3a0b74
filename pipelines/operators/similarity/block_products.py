"""Products of all vectors of two panels, one block at a time, and each vector's nearest neighbour by them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from pipelines.operators.similarity.vectors import NEAR_DISTANCE, DistinctRows, Nearest, Vectors

BLOCK_SIZE = 512  # vectors on each side: the products fit in the CPU cache
NEAR_PRODUCT = 1 - NEAR_DISTANCE / 2  # two vectors with a larger product are nearer than NEAR_DISTANCE


def compare_panels(
    vectors: Vectors, distinct: DistinctRows, others: Vectors | None = None, other_distinct: DistinctRows | None = None
) -> tuple[Nearest, ...]:
    """Find nearest neighbours between two panels in both directions, or within one panel if `others` is None.

    Only the distinct vectors are compared. The vectors are separate arguments because Ray resolves references only at
    the top level.
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
    """The distinct vectors of a panel, and the block that contains each vector's largest product so far."""

    def __init__(self, vectors: Vectors, distinct: DistinctRows) -> None:
        rows, copies, start = distinct
        self.vectors = torch.from_numpy(vectors[rows])  # [vectors, dimensions]
        self.copies = torch.from_numpy(copies.astype(np.float32))  # [vectors]
        self.start = start
        self.best = torch.full((len(rows),), -torch.inf)  # [vectors]
        self.block = torch.zeros(len(rows), dtype=torch.int64)  # [vectors]
        self.near = torch.zeros(len(rows), dtype=torch.float64)  # [vectors]
        self.blocks = [slice(low, min(low + BLOCK_SIZE, len(rows))) for low in range(0, len(rows), BLOCK_SIZE)]

    def update(self, mine: slice, highest: torch.Tensor, block: int) -> None:
        """Record the largest products [mine] with the vectors of one block of the other panel."""
        better = highest > self.best[mine]
        torch.where(better, highest, self.best[mine], out=self.best[mine])
        self.block[mine].masked_fill_(better, block)


class _BlockProducts:
    """Computes blocks of products in the same buffers: allocating memory would take as long as multiplying."""

    def __init__(self) -> None:
        self.product_memory, self.near_memory = (
            torch.empty(BLOCK_SIZE * BLOCK_SIZE),
            torch.empty(BLOCK_SIZE * BLOCK_SIZE),
        )

    def products(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """Return the products [left, right]. They are valid until the next call."""
        shape = len(left), len(right)
        return torch.mm(left, right.T, out=self.product_memory[: shape[0] * shape[1]].view(shape))

    def compute_within(self, side: _Panel) -> None:
        """Compare all vectors of one panel with one another."""
        for number, mine in enumerate(side.blocks):
            square = self.products(side.vectors[mine], side.vectors[mine]).fill_diagonal_(-torch.inf)  # [mine, mine]
            highest = square.amax(1)  # [mine]
            side.update(mine, highest, number)
            if highest.max() > NEAR_PRODUCT:
                side.near[mine] += self.near_mask(square) @ side.copies[mine]
            for other in range(number + 1, len(side.blocks)):
                self.compute(side, number, side, other)

    def compute_between(self, left: _Panel, right: _Panel) -> None:
        """Compare all vectors of two panels."""
        for number in range(len(left.blocks)):
            for other in range(len(right.blocks)):
                self.compute(left, number, right, other)

    def compute(self, left: _Panel, number: int, right: _Panel, other: int) -> None:
        """Compare two blocks and update both panels with the same products."""
        mine, theirs = left.blocks[number], right.blocks[other]
        products = self.products(left.vectors[mine], right.vectors[theirs])  # [mine, theirs]
        highest = products.amax(1)  # [mine]
        left.update(mine, highest, other)
        right.update(theirs, products.amax(0), number)
        if highest.max() > NEAR_PRODUCT:
            close = self.near_mask(products)  # [mine, theirs]
            left.near[mine] += close @ right.copies[theirs]
            right.near[theirs] += left.copies[mine] @ close

    def near_mask(self, products: torch.Tensor) -> torch.Tensor:
        """Return 1 for products of near vectors, else 0, in the shape of `products`."""
        return torch.gt(products, NEAR_PRODUCT, out=self.near_memory[: products.numel()].view(products.shape))

    def nearest(self, side: _Panel, other: _Panel) -> Nearest:
        """Return the nearest neighbours of `side` in `other`, with distances computed from differences."""
        place = torch.zeros(len(side.best), dtype=torch.int64)  # [vectors]
        distance = torch.full((len(side.best),), torch.inf, dtype=torch.float64)  # [vectors]
        for theirs, rows in _best_rows_by_block(side, other):
            products = self.products(side.vectors[rows], other.vectors[theirs])  # [rows, theirs]
            if side is other:
                products[rows.unsqueeze(1) == torch.arange(theirs.start, theirs.stop)] = -torch.inf
            place[rows] = torch.from_numpy(products.numpy().argmax(1)) + theirs.start
            difference = side.vectors[rows].double() - other.vectors[place[rows]].double()  # [rows, dimensions]
            distance[rows] = difference.square().sum(1)
        return Nearest(distance.numpy(), place.numpy() + other.start, side.near.numpy())


def _best_rows_by_block(side: _Panel, other: _Panel) -> Iterator[tuple[slice, torch.Tensor]]:
    """Yield each block of `other` with the rows whose largest product is in it, up to BLOCK_SIZE rows at a time."""
    for number, theirs in enumerate(other.blocks):
        # a panel of one vector has no neighbours in itself
        rows = ((side.block == number) & side.best.isfinite()).nonzero().squeeze(1)
        for part in rows.split(BLOCK_SIZE):
            if len(part):
                yield theirs, part
