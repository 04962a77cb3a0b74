"""Which seeds an optimization reads, and on which it measures."""

from __future__ import annotations

from typing import Any

from pipelines.operators.evolve.minibatches import Minibatches
from pipelines.rows.types import InstructionRow
from pipelines.study.spec.instructions.evolution import Optimization

SEEDS = [
    InstructionRow(f"{i:032x}", "", f"{i:032x}", i, 0, "seed", f"Say {i}.", "", "", "", "accepted", 0, 0)
    for i in range(100)
]


def samples(count: int = 100, seed: int = 0, **changes: Any) -> Minibatches:
    return Minibatches(SEEDS[:count], Optimization(optimizer="any", **{"batch": 8, "dev": 20} | changes), seed)


def test_the_dev_set_is_fixed_and_apart_from_the_batches() -> None:
    drawn = samples()
    dev = {row.index for row in drawn.dev_set(1)}
    assert len(dev) == 20 and all({row.index for row in drawn.dev_set(step)} == dev for step in range(1, 30))
    batches = [[row.index for row in drawn.batch(step)] for step in range(1, 11)]
    assert not dev & {index for batch in batches for index in batch}
    assert len({index for batch in batches for index in batch}) == 80, "all others are read before any is read again"
    assert batches == [[row.index for row in samples().batch(step)] for step in range(1, 11)]
    assert batches[0] != [row.index for row in samples(seed=1).batch(1)]


def test_only_the_subset_is_used() -> None:
    drawn = samples(subset=30)
    used = {row.index for step in range(1, 20) for row in (*drawn.dev_set(step), *drawn.batch(step))}
    assert len(used) == 30


def test_few_seeds_serve_as_both() -> None:
    drawn = samples(count=5)
    assert len(drawn.dev_set(1)) == len(drawn.batch(3)) == 5


def test_the_authors_code_takes_another_chunk_of_the_same_rows_in_every_step() -> None:
    drawn = samples(variant="authors")
    chunks = [{row.index for row in drawn.dev_set(step)} for step in range(1, 6)]
    assert set().union(*chunks) == set(range(100)) and sum(map(len, chunks)) == 100
    assert {row.index for step in range(1, 14) for row in drawn.batch(step)} == set(range(100))
