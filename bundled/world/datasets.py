"""Seed and held-out sets of the world: deterministic, and disjoint by the items of their lists."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from bundled.world.generate import draw_task


@dataclass(frozen=True)
class WorldTask:
    """An instruction of the world with its gold answer, the kind of task and the number of constraints."""

    instruction: str
    answer: str
    kind: str
    level: int


def seeds(count: int, seed: int, levels: Sequence[int] = (0,)) -> list[WorldTask]:
    """Return `count` different tasks of the training side, levels in turn; the same for the same arguments."""
    return _draw(count, random.Random(f"seeds {seed}"), levels, held_out=False)


def heldout(count: int, seed: int, levels: Sequence[int] = (0, 1, 2, 3)) -> list[WorldTask]:
    """Return `count` different tasks, levels in turn, over lists that neither seeds nor the training of models use."""
    return _draw(count, random.Random(f"heldout {seed}"), levels, held_out=True)


def _draw(count: int, rng: random.Random, levels: Sequence[int], held_out: bool) -> list[WorldTask]:
    drawn: dict[str, WorldTask] = {}
    while len(drawn) < count:
        task = draw_task(rng, levels[len(drawn) % len(levels)], held_out)
        instruction = task.render(rng)
        drawn.setdefault(instruction, WorldTask(instruction, task.answer(), task.kind, task.level))
    return list(drawn.values())
