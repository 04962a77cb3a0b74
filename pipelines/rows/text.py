"""An instruction and its input as one user turn."""

from __future__ import annotations


def user_turn(instruction: str, extra: str) -> str:
    """Return what a student sees: the instruction and, on its own line, the input if there is one."""
    return f"{instruction}\n{extra}" if extra else instruction
