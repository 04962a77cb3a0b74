"""Mistakes in the user's input, shown as one readable block, and the file of the details of all other errors."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from cluster.errors import EvolgridError, contexts, error_line

MAX_SHOWN = 20
DEBUG_VARIABLE = "EVOLGRID_DEBUG"


class InputError(EvolgridError):
    """One mistake in the user's input, with its location and a remedy.

    `line` counts from 1; `field` is a dotted path such as `models.tiny.source` or `students[0].model`.
    """

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        field: str | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.file = file
        self.line = line
        self.field = field
        self.remedy = remedy

    def __str__(self) -> str:
        place = self.file or ""
        if self.file and self.line is not None:
            place = f"{self.file}:{self.line}"
        parts = [part for part in (place, self.field, self.message) if part]
        text = ": ".join(parts)
        if not self.remedy:
            return text
        return f"{text if text.endswith(('.', '?', '!')) else text + '.'} {self.remedy}"


class InputErrors(InputError):
    """Several mistakes in one input, shown one per line, in the order of their line numbers."""

    def __init__(self, problems: Sequence[InputError]) -> None:
        super().__init__(f"{len(problems)} problems")
        self.args = (problems,)  # pickle rebuilds the exception from it
        self.problems = sorted(problems, key=lambda problem: problem.line or 0)
        self.file = self.problems[0].file
        self.line = self.problems[0].line

    def __str__(self) -> str:
        shown = [str(problem) for problem in self.problems[:MAX_SHOWN]]
        return "\n".join([*shown, "... and more"] if len(self.problems) > MAX_SHOWN else shown)


class StepFailed(EvolgridError):
    """Most rows of a step have failed for the same reason: it is not finished. The message says which, and why."""


class PushFailed(EvolgridError):
    """The hub cannot be reached, or does not take what is pushed. The message says what to do."""


class BudgetSpent(EvolgridError):
    """The study's budget is spent. `reached` is a part of a sentence, `progress` says what is done and what is left."""

    def __init__(self, reached: str, progress: str = "") -> None:
        super().__init__(reached, progress)
        self.reached, self.progress = reached, progress

    def __str__(self) -> str:
        done = f" Finished work is kept: {self.progress}." if self.progress else ""
        return f"the budget is spent: {self.reached}.{done} Raise 'budget' in the study and run it again to continue."


def combined(problems: Sequence[InputError]) -> InputError:
    """Return one exception for one or more mistakes."""
    return problems[0] if len(problems) == 1 else InputErrors(problems)


def nearest(name: str, valid: list[str]) -> str | None:
    """Return a remedy for an unknown name: the closest valid name or, without a close one, all valid names."""
    close = get_close_matches(name, valid, n=1, cutoff=0.6)
    if close:
        return f"Did you mean '{close[0]}'?"
    return f"Valid names: {', '.join(valid)}." if valid else None


def details_file() -> Path:
    """Return the file to which this process writes tracebacks, and `evolgrid run` what Ray and libraries print."""
    return Path(tempfile.gettempdir()) / f"evolgrid-{os.getpid()}.log"


def with_details(message: str, error: BaseException) -> str:
    """Write an error's traceback to the details file, and return the message with the place of the file.

    With the environment variable EVOLGRID_DEBUG, the traceback is also written to standard error.
    """
    text = "".join(traceback.format_exception(error))
    if os.environ.get(DEBUG_VARIABLE):
        print(text, file=sys.stderr)
    try:
        with details_file().open("a", encoding="utf-8") as file:
            file.write(f"{message}\n{text}\n")
    except OSError:  # the message is worth more than its details
        return message
    return f"{message} (details: {details_file()})"


def unexpected(error: BaseException) -> str:
    """Return an unexpected error in one line: where it was raised if that is known, and its message."""
    return ": ".join([", ".join(reversed(contexts(error))), error_line(error)]).removeprefix(": ")
