"""Draws tasks: training tasks and held-out tasks never share a list of items."""

import hashlib
import random
from collections.abc import Sequence

from bundled.world.lexicon import NUMBERS, WORDS, kind_of
from bundled.world.tasks import (
    HEADS,
    LIST_KINDS,
    MAX_ITEMS,
    METHOD_CONSTRAINTS,
    MIN_ITEMS,
    NUMBER_KINDS,
    WORD_KINDS,
    Task,
)

NUMBER_SHARE = 0.35
HELD_OUT_SHARE = 16
KINDS: tuple[str, ...] = tuple(HEADS)


def is_held_out(arguments: Sequence[str]) -> bool:
    """Return whether a list of items belongs to the held-out tasks, by a hash of the list alone."""
    return hashlib.sha256(" ".join(arguments).encode()).digest()[0] < HELD_OUT_SHARE


def draw_arguments(rng: random.Random, numbers: bool, sizes: Sequence[int], held_out: bool = False) -> tuple[str, ...]:
    """Draw a list of distinct items, of a size drawn from `sizes`, from one side of the held-out split."""
    while True:
        items = tuple(rng.sample(NUMBERS if numbers else WORDS, rng.choice(sizes)))
        if is_held_out(items) == held_out:
            return items


def draw_task(
    rng: random.Random,
    level: int,
    held_out: bool = False,
    kinds: Sequence[str] = KINDS,
    sizes: Sequence[int] = tuple(range(MIN_ITEMS + 1, MAX_ITEMS + 1)),
) -> Task:
    """Draw a sound task of the level. Kinds are equally likely; constraints are of different methods if possible."""
    while True:
        kind = rng.choice(kinds)
        numbers = kind in NUMBER_KINDS and (kind not in WORD_KINDS or rng.random() < NUMBER_SHARE)
        arguments = draw_arguments(rng, numbers, sizes, held_out)
        task = Task(kind, arguments, _draw_constraints(rng, kind, arguments, level))
        if task.is_sound() and task.level == level:
            return task


def _draw_constraints(rng: random.Random, kind: str, arguments: Sequence[str], level: int) -> tuple[str, ...]:
    methods = list(METHOD_CONSTRAINTS)
    rng.shuffle(methods)
    # A focus is in the first sentence and is parsed first
    chosen = sorted((methods * 2)[:level], key=lambda method: method != "concretize")
    return tuple(_draw_constraint(rng, method, kind, arguments) for method in chosen)


def _draw_constraint(rng: random.Random, method: str, kind: str, arguments: Sequence[str]) -> str:
    if method == "concretize":
        return f"only_{kind_of(rng.choice(arguments))}"
    names = [name for name in METHOD_CONSTRAINTS[method] if name != "dashes" or kind in LIST_KINDS]
    return rng.choice(names)
