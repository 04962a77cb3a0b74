"""The seeds of an optimization: mini-batches for the trajectories that the optimizer reads, and dev sets."""

from __future__ import annotations

import random
from collections.abc import Sequence

from pipelines.rows.types import InstructionRow
from pipelines.study.spec.instructions.evolution import Optimization


class Minibatches:
    """The mini-batch and the dev set of each step, both chunks of a random subset of the seeds.

    `paper`: every step has the same dev set, and the mini-batches are drawn from the other rows of the subset in order,
    wrapping around at the end. `authors`: both are drawn from the whole subset, each in a separate random order, and
    every step has a different chunk as its dev set. If there are fewer seeds than the subset's size, all are used.
    """

    def __init__(self, seeds: Sequence[InstructionRow], spec: Optimization, seed: int) -> None:
        draw = random.Random(seed)
        self.spec = spec
        subset = draw.sample([*seeds], min(spec.subset, len(seeds)))
        if spec.variant == "paper":
            self.dev_rows, self.batch_rows = subset[: spec.dev], subset[spec.dev :] or subset
        else:
            self.dev_rows, self.batch_rows = draw.sample(subset, len(subset)), subset

    def batch(self, step: int) -> list[InstructionRow]:
        """Return the mini-batch of a step (counted from 1)."""
        return _chunk(self.batch_rows, self.spec.batch, step)

    def dev_set(self, step: int) -> list[InstructionRow]:
        """Return the dev set of a step (counted from 1)."""
        return _chunk(self.dev_rows, self.spec.dev, step)


def _chunk(rows: list[InstructionRow], size: int, number: int) -> list[InstructionRow]:
    """Return the `number`-th chunk (counted from 1), wrapping around after the last row."""
    start = (number - 1) * size
    return [rows[(start + place) % len(rows)] for place in range(min(size, len(rows)))]
