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


class InstructionInConversation(InConversation, Protocol):
    """A row with an instruction, at the end of a conversation."""

    @property
    def instruction(self) -> str: ...
    @property
    def input(self) -> str: ...


def user_turn(instruction: str, extra: str) -> str:
    """Return what a student sees: the instruction and, on its own line, the input if there is one."""
    return f"{instruction}\n{extra}" if extra else instruction


def with_system(messages: tuple[Message, ...], system: str) -> tuple[Message, ...]:
    """Return messages with a system text before them. Their own system text, if any, follows it after a blank line."""
    if not system:
        return messages
    if messages and messages[0][0] == "system":
        return (("system", f"{system}\n\n{messages[0][1]}"), *messages[1:])
    return (("system", system), *messages)


def context(row: InConversation) -> tuple[Message, ...]:
    """Return the messages before a row's instruction: the system text, if any, and the turns of its history."""
    turns = tuple((("user", "assistant")[number % 2], text) for number, text in enumerate(row.history))
    return ((("system", row.system),) if row.system else ()) + turns


def shown_conversation(row: InstructionInConversation) -> str:
    """Return the user turn for display; after a system text or earlier turns, all of them, headed by their roles."""
    before = context(row)
    turn = user_turn(row.instruction, row.input)
    return "\n\n".join(f"[{role}] {text}" for role, text in (*before, ("user", turn))) if before else turn


def conversation(row: InstructionInConversation, answer: str) -> tuple[Message, ...]:
    """Return a whole conversation: the messages before the instruction, the user turn, and an answer to it."""
    return (*context(row), ("user", user_turn(row.instruction, row.input)), ("assistant", answer))
