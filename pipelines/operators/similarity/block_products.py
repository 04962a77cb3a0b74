"""All products between two panels of vectors, a block at a time, and what each vector learns from them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from pipelines.operators.similarity.vectors import NEAR, Found, Ints, Vectors

BLOCK = 512  # vectors on each side: the products stay in the cache
CLOSE = 1 - NEAR / 2  # the product above which 2 - 2cos is nearer than NEAR


def compare(
    vectors: Vectors,
    rows: Ints,
    copies: Ints,
    start: int,
    others: Vectors | None = None,
    other_rows: Ints | None = None,
    other_copies: Ints | None = None,
    other_start: int = 0,
) -> tuple[Found, ...]:
    """What the vectors `rows` of a panel find in another panel and those in them, or all of one panel in itself.

    `copies` says how many rows of the set each of them stands for, `start` is the number of the first one.
    """
    left = _Side(vectors, rows, copies, start)
    products = _Products()
    if others is None or other_rows is None or other_copies is None:
        products.within(left)
        return (products.found(left, left),)
    right = _Side(others, other_rows, other_copies, other_start)
    products.between(left, right)
    return products.found(left, right), products.found(right, left)


class _Side:
    """The distinct vectors of a panel [n, d], and the block in which each has seen its best product so far."""

    def __init__(self, vectors: Vectors, rows: Ints, copies: Ints, start: int) -> None:
        self.vectors = torch.from_numpy(vectors[rows])
        self.copies = torch.from_numpy(copies.astype(np.float32))
        self.start = start
        self.best = torch.full((len(rows),), -torch.inf)
        self.block = torch.zeros(len(rows), dtype=torch.int64)
        self.near = torch.zeros(len(rows), dtype=torch.float64)
        self.blocks = [slice(low, min(low + BLOCK, len(rows))) for low in range(0, len(rows), BLOCK)]

    def saw(self, mine: slice, highest: torch.Tensor, block: int) -> None:
        """Take note of the highest products [mine] with the vectors of one block of the other side."""
        better = highest > self.best[mine]
        torch.where(better, highest, self.best[mine], out=self.best[mine])
        self.block[mine].masked_fill_(better, block)


class _Products:
    """Blocks of products, all made in the same memory: fetching fresh memory takes as long as multiplying."""

    def __init__(self) -> None:
        self.memory, self.close = torch.empty(BLOCK * BLOCK), torch.empty(BLOCK * BLOCK)

    def of(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """The products [left, right], until the next ones are made."""
        shape = len(left), len(right)
        return torch.mm(left, right.T, out=self.memory[: shape[0] * shape[1]].view(shape))

    def within(self, side: _Side) -> None:
        """Let the vectors of one panel meet one another."""
        for number, mine in enumerate(side.blocks):
            square = self.of(side.vectors[mine], side.vectors[mine]).fill_diagonal_(-torch.inf)
            highest = square.amax(1)
            side.saw(mine, highest, number)
            if highest.max() > CLOSE:
                side.near[mine] += self.closeness(square) @ side.copies[mine]
            for other in range(number + 1, len(side.blocks)):
                self.meet(side, number, side, other)

    def between(self, left: _Side, right: _Side) -> None:
        """Let the vectors of two panels meet."""
        for number in range(len(left.blocks)):
            for other in range(len(right.blocks)):
                self.meet(left, number, right, other)

    def meet(self, left: _Side, number: int, right: _Side, other: int) -> None:
        """Let two blocks meet: both learn from the same products."""
        mine, theirs = left.blocks[number], right.blocks[other]
        products = self.of(left.vectors[mine], right.vectors[theirs])
        highest = products.amax(1)
        left.saw(mine, highest, other)
        right.saw(theirs, products.amax(0), number)
        if highest.max() > CLOSE:
            close = self.closeness(products)
            left.near[mine] += close @ right.copies[theirs]
            right.near[theirs] += left.copies[mine] @ close

    def closeness(self, products: torch.Tensor) -> torch.Tensor:
        """1 where a product belongs to two near vectors, else 0."""
        return torch.gt(products, CLOSE, out=self.close[: products.numel()].view(products.shape))

    def found(self, side: _Side, other: _Side) -> Found:
        """The neighbours of one side's vectors on the other side, with distances made of the differences."""
        place = torch.zeros(len(side.best), dtype=torch.int64)
        distance = torch.full((len(side.best),), torch.inf, dtype=torch.float64)
        for theirs, rows in _by_block(side, other):
            products = self.of(side.vectors[rows], other.vectors[theirs])
            if side is other:
                products[rows.unsqueeze(1) == torch.arange(theirs.start, theirs.stop)] = -torch.inf
            place[rows] = torch.from_numpy(products.numpy().argmax(1)) + theirs.start
            difference = side.vectors[rows].double() - other.vectors[place[rows]].double()
            distance[rows] = difference.square().sum(1)
        return Found(distance.numpy(), place.numpy() + other.start, side.near.numpy())


def _by_block(side: _Side, other: _Side) -> Iterator[tuple[slice, torch.Tensor]]:
    """Each block of the other side with the rows that have their best product there, BLOCK rows at most at a time."""
    for number, theirs in enumerate(other.blocks):
        # a panel of one vector has nothing to find in itself
        rows = ((side.block == number) & side.best.isfinite()).nonzero().squeeze(1)
        for part in rows.split(BLOCK):
            if len(part):
                yield theirs, part
