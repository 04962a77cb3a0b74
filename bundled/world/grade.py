"""Grading: exact match against the gold answer of the instruction."""

from bundled.world.grammar import parse


def correct(instruction: str, response: str) -> bool:
    """Return whether the stripped response is the gold answer; False for an instruction that is not of the world."""
    task = parse(instruction)
    return task is not None and response.strip() == task.answer()


def level_of(instruction: str) -> int | None:
    """Return the number of constraints in the instruction, or None if it is not of the world."""
    task = parse(instruction)
    return None if task is None else task.level
