"""The base of all errors for users, this package's own class of them, and errors in one line."""

from __future__ import annotations

import traceback

MAX_LINE = 300  # characters of an error's message in one line


class EvolgridError(Exception):
    """Base of all errors that users may see. The message says what is wrong and what to do."""


class ClusterError(EvolgridError):
    """The cluster cannot do what was requested. The message says what to change. Shown to users without a traceback."""


def error_line(error: BaseException) -> str:
    """Return the type and the message of an error in one line, cut after MAX_LINE characters."""
    text = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
    return text if len(text) <= MAX_LINE else f"{text[:MAX_LINE]} ..."


def add_context(error: BaseException, place: str) -> None:
    """Add to an error where it was raised, in one line, and its traceback, which it would lose in another process."""
    error.add_note(place)
    error.add_note("".join(traceback.format_exception(error)))


def contexts(error: BaseException) -> list[str]:
    """Return the places that `add_context` has added, the innermost first."""
    notes: list[str] = getattr(error, "__notes__", [])
    return [note for note in notes if "\n" not in note.strip()]
