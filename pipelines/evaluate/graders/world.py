"""The held-out tasks of the bundled world as a benchmark. Answers are greedy, and only exact answers are correct."""

from __future__ import annotations

from bundled.world import correct, heldout
from pipelines.evaluate.items.item import Grade, Item, exact_grade
from pipelines.rows.types import AnswerRow
from pipelines.study.spec.common.basics import World
from pipelines.study.spec.evaluation.benchmarks import Benchmark


def items(world: World, seed: int) -> list[Item]:
    """Return the tasks as items. The same seed gives the same items."""
    tasks = heldout(world.count, seed, tuple(world.levels))
    return [
        Item(str(index), (("user", task.instruction),), task.answer, task.kind, task.level)
        for index, task in enumerate(tasks)
    ]


def grade(bench: Benchmark, item: Item, row: AnswerRow) -> Grade:
    """Return the grade of an answer. An answer that was cut off at the token limit is wrong."""
    del bench, item
    return exact_grade(row.finish_reason == "stop" and correct(row.instruction, row.response))
