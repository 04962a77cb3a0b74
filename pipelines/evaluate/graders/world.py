"""The world's held-out tasks as a benchmark: each is answered greedily, and exact answers count."""

from __future__ import annotations

from bundled.world import correct, heldout
from pipelines.evaluate.items.item import Grade, Item, exact_grade
from pipelines.rows.types import AnswerRow
from pipelines.study.spec.basics import World
from pipelines.study.spec.benchmarks import Benchmark


def items(world: World, seed: int) -> list[Item]:
    """The tasks; the same for the same seed."""
    tasks = heldout(world.count, seed, tuple(world.levels))
    return [
        Item(str(index), (("user", task.instruction),), task.answer, task.kind, task.level)
        for index, task in enumerate(tasks)
    ]


def grade(bench: Benchmark, item: Item, row: AnswerRow) -> Grade:
    """A whole answer is right if it is the gold one."""
    del bench, item
    return exact_grade(row.finish_reason == "stop" and correct(row.instruction, row.response))
