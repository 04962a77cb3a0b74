"""Gold evolutions: what each method makes of an instruction, and when a given evolution is valid."""

import random

from bundled.world.generate import draw_task
from bundled.world.grammar import parse
from bundled.world.lexicon import is_number, kind_of, noun_for
from bundled.world.tasks import LIST_KINDS, MAX_LEVEL, METHOD_CONSTRAINTS, Task

IN_DEPTH_METHODS = tuple(METHOD_CONSTRAINTS)
METHODS = (*IN_DEPTH_METHODS, "breadth")


def additions(task: Task, method: str) -> list[str]:
    """Return the constraints that the in-depth method can add so that the result is a sound and different task."""
    names = METHOD_CONSTRAINTS[method]
    if method == "concretize":
        names = tuple(dict.fromkeys(f"only_{kind_of(item)}" for item in task.selected()))
    if task.kind not in LIST_KINDS:
        names = tuple(name for name in names if name != "dashes")
    return [name for name in names if Task(task.kind, task.arguments, (*task.constraints, name)).is_sound()]


def evolve(instruction: str, method: str, rng: random.Random) -> str | None:
    """Return a valid evolution of an instruction of the world, or None if the method has nothing to add.

    In-depth methods keep the wording and change one thing; breadth draws another task of about the same level.

    Raises:
        ValueError: If the instruction is not one of the world.
    """
    task = parse(instruction)
    if task is None:
        raise ValueError(f"not an instruction of the world: {instruction!r}")
    if method == "breadth":
        return _another(task, rng).render(rng)
    choices = additions(task, method)
    if not choices:
        return None
    return _apply(instruction, task, rng.choice(choices), rng)


def is_valid(parent: str, child: str, method: str) -> bool:
    """Return whether `child` is a valid evolution of `parent`.

    An in-depth method keeps task, arguments and constraints of the parent, and adds a constraint of the method's own
    kind. Breadth states another task whose level differs by at most one.
    """
    old, new = parse(parent), parse(child)
    if old is None or new is None:
        return False
    if method == "breadth":
        return (old.kind, old.arguments) != (new.kind, new.arguments) and abs(old.level - new.level) <= 1
    added = set(new.constraints) - set(old.constraints)
    kept = set(old.constraints) <= set(new.constraints)
    same = (old.kind, old.arguments) == (new.kind, new.arguments)
    return same and kept and bool(added & set(METHOD_CONSTRAINTS[method]))


def _apply(instruction: str, task: Task, name: str, rng: random.Random) -> str:
    if not name.startswith("only_"):
        addition = Task(task.kind, task.arguments, (name,)).render(rng)
        return f"{instruction} {addition.split('. ', 1)[1]}"
    numbers = is_number(task.arguments[0])
    head, items = instruction.split(": ", 1)
    narrowed = noun_for(numbers, name.removeprefix("only_"))
    return f"{head.replace(noun_for(numbers, None), narrowed, 1)}: {items}"


def _another(task: Task, rng: random.Random) -> Task:
    while True:
        other = draw_task(rng, min(MAX_LEVEL, max(0, task.level)))
        if other.arguments != task.arguments:
            return other
