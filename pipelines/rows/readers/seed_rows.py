"""What readers yield (rows and bad rows), and the two exceptions for problems of a row and of a file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

from cluster.plural import plural

MAX_ROW_BYTES = 1_000_000
MAX_PIECE_BYTES = 4 * MAX_ROW_BYTES
"""How many bytes are read to find the end of a row that is too large. If it is not found, the file is rejected."""
MAX_RAW_CHARS = 2_000
OnBadRow = Literal["refuse", "quarantine"]
REMEDIES = {
    "invalid-utf8": "Save the file as UTF-8.",
    "lone-surrogate": "Write the whole character, or remove it.",
    "nul": "Remove it.",
    "not-json": "A row is one JSON object in one line.",
    "nested-too-deep": "Leave out what is not the row's text.",
    "not-a-number": "Write null, or a text.",
    "number-too-large": "Write it as a text.",
    "duplicate-key": "Keep one of them.",
    "not-an-object": 'A row is {"instruction": "..."}; rows in one JSON array are a .json file.',
    "row-too-large": "Shorten it, or leave it out.",
    "missing-cells": "Put a cell that contains the separator, quotes or line ends in quotes.",
    "extra-cells": "Put a cell that contains the separator, quotes or line ends in quotes.",
    "missing-instruction": "Name its column in the study's seeds: 'columns: {instruction: NAME}'.",
    "missing-column": "Correct its name in 'columns' of the study's seeds.",
    "ambiguous-field": "Choose one in the study's seeds, for example 'columns: {instruction: prompt}'.",
    "empty-instruction": "Fill it in, or leave the row out.",
    "wrong-type": "Write it as a text, or leave it out with 'columns: {FIELD: null}' in the study's seeds.",
    "no-user-turn": "One turn must be the user's.",
    "not-turns": "Write turns as [{'role': 'user', 'content': '...'}, {'role': 'assistant', 'content': '...'}].",
    "unknown-role": "Rename it to 'user', 'assistant' or 'system'.",
    "tool-turn": "Turns of tools have no place in a seed: leave the row out, or set 'on_bad_row: quarantine'.",
    "content-part": "Only text can be read: leave the row out, or set 'on_bad_row: quarantine'.",
    "message-tree": "Join the messages from a root to a leaf to one row with 'messages'.",
    "rows-in-a-row": "If its objects are the rows, save that list as a .json file.",
    "part-not-used": "Name its field in 'columns' of the study's seeds, or allow it with 'on_unused: tell'.",
}
"""What to do about a bad row, by reason."""
LAYOUT_REASONS = frozenset(
    {"missing-instruction", "missing-column", "ambiguous-field", "not-turns", "unknown-role", "tool-turn"}
    | {"content-part", "message-tree", "rows-in-a-row", "part-not-used"}
)
"""Reasons that most rows of a file share. They are reported once for each file."""
_BAD_BYTE = re.compile("[\udc80-\udcff]")


class Note(NamedTuple):
    """What a record has that its seed does not have, as the end of the sentence "3 rows had ...".

    `lost` says that a part of the task is not used, which the study may refuse.
    """

    text: str
    lost: bool = True


def describe_note(text: str, count: int) -> str:
    """Return a note on `count` rows as a sentence without its full stop."""
    return f"{plural(count, 'row')} had {text}"


@dataclass(frozen=True, slots=True)
class SeedRow:
    """A seed as its file has it. `index` counts the set's rows from 0, with bad rows and without blank lines.

    `history` are the turns before the instruction, alternately the user's and the assistant's. `notes` say what
    was left out or changed.
    """

    index: int
    instruction: str
    input: str
    output: str
    system: str = ""
    history: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was set aside. `line` is where it starts (from 1; None for Parquet); `raw` is safe to print.

    `index` counts the rows of the set, and `row` those of its `file`, both from 0.
    """

    index: int
    line: int | None
    field: str | None
    reason: str
    detail: str
    raw: str
    file: str = ""
    row: int = 0


@dataclass(frozen=True, slots=True)
class SeedRows:
    """All rows that were read from a seed set, good and bad. `sha256` is the content hash of its files."""

    rows: list[SeedRow]
    bad: list[BadRow]
    sha256: str


class RowProblem(Exception):
    """A row is bad, but the next one can be found. `reason` is a slug, `detail` a part of a sentence."""

    def __init__(self, reason: str, detail: str, field: str | None = None) -> None:
        super().__init__(reason, detail, field)
        self.reason = reason
        self.detail = detail
        self.field = field


class FileProblem(Exception):
    """The file cannot be read, or not beyond `line`: where the next row starts would be a guess."""

    def __init__(self, message: str, line: int | None = None, remedy: str | None = None) -> None:
        super().__init__(message, line, remedy)
        self.message = message
        self.line = line
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A row as its format's reader found it: its text, and a record (field to value) or the reason why it is bad."""

    line: int | None
    raw: str
    record: object | RowProblem


def decode_bytes(data: bytes) -> str:
    """Return data as text. Bytes that are not UTF-8 become lone surrogates, which `has_bad_bytes` finds."""
    return data.decode("utf-8", "surrogateescape")


def has_bad_bytes(text: str) -> bool:
    """Return whether the text was decoded from bytes that are not UTF-8."""
    return not text.isascii() and _BAD_BYTE.search(text) is not None


def to_printable(text: str) -> str:
    """Return the first `MAX_RAW_CHARS` characters of a row; invisible characters and bad bytes become escapes."""
    shown = text[:MAX_RAW_CHARS].encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in shown)[
        :MAX_RAW_CHARS
    ]
