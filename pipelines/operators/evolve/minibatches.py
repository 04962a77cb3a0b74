"""Which seeds an optimization sees: mini-batches for the optimizer to read, and a dev set to measure methods on."""

from __future__ import annotations

import random
from collections.abc import Sequence

from pipelines.rows.types import InstructionRow
from pipelines.study.spec.evolution import Optimization


class Minibatches:
    """`paper`: one dev set, and batches from the other rows of the subset, in turn and from the start again after the
    last. `authors`: both from the whole subset, shuffled apart, and in every step another chunk as the dev set.

    Fewer seeds than asked for are all taken.
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
        """The mini-batch of a step, counted from 1."""
        return _chunk(self.batch_rows, self.spec.batch, step)

    def dev_set(self, step: int) -> list[InstructionRow]:
        """The dev set of a step."""
        return _chunk(self.dev_rows, self.spec.dev, step)


def _chunk(rows: list[InstructionRow], size: int, number: int) -> list[InstructionRow]:
    """The `number`-th chunk, counted from 1; after the last row comes the first."""
    start = (number - 1) * size
    return [rows[(start + place) % len(rows)] for place in range(min(size, len(rows)))]
