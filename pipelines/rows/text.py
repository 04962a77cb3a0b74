"""Rows as conversations: an instruction and its input are one user turn, after a system text and earlier turns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

Message = tuple[str, str]  # role and content


class InConversation(Protocol):
    """A row that is the end of a conversation."""

    @property
    def system(self) -> str: ...
    @property
    def history(self) -> Sequence[str]: ...


def user_turn(instruction: str, extra: str) -> str:
    """Return what a student sees: the instruction and, on its own line, the input if there is one."""
    return f"{instruction}\n{extra}" if extra else instruction


def context(row: InConversation) -> tuple[Message, ...]:
    """Return the messages before a row's instruction: the system text, if any, and the turns of its history."""
    turns = tuple((("user", "assistant")[number % 2], text) for number, text in enumerate(row.history))
    return ((("system", row.system),) if row.system else ()) + turns
