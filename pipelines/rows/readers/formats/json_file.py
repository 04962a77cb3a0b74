"""Reads JSON files: an array of rows, an object whose value is one, an object of rows, or an object of columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import BufferedReader
from typing import cast

from pipelines.rows.readers.formats.json_window import JsonWindow
from pipelines.rows.readers.layouts.columns import check_names
from pipelines.rows.readers.layouts.names import LISTS, STRONG, WEAK, plain
from pipelines.rows.readers.rules import ReadingRules
from pipelines.rows.readers.seed_rows import FileProblem, RawRecord, RowProblem

MAX_COLUMN_BYTES = 256_000_000
"""The largest column of a file that is an object of columns. Such files are held in memory."""
_FIELD_NAMES = frozenset(name for tier in (STRONG, WEAK) for names in tier.values() for name in names)
_TURNS = frozenset({*STRONG["messages"], *LISTS, "history", "completion"} - {"data"})


def read_json(stream: BufferedReader, rules: ReadingRules) -> Iterator[RawRecord]:
    """Yield every row.

    Raises:
        FileProblem: If the file is not of one of the layouts, or is broken. The rest of it cannot be trusted then.
    """
    text = JsonWindow(stream)
    mark = text.peek()
    if mark == "[":
        yield from _array(text)
        what = "array"
    elif mark == "{":
        yield from _object(text, rules)
        what = "object"
    else:
        raise _not_rows(text.line)
    if text.peek():
        raise FileProblem(f"there is text after the end of the {what}", text.line)


def _array(text: JsonWindow) -> Iterator[RawRecord]:
    """Yield the elements of the array at the current position, and move past it."""
    text.skip(1)
    if text.peek() == "]":
        text.skip(1)
        return
    while True:
        text.peek()
        yield text.element()
        if _ends(text, "]"):
            return


def _object(text: JsonWindow, rules: ReadingRules) -> Iterator[RawRecord]:
    """Yield the rows of the object at the current position, and move past it."""
    start, found = text.line, ""
    columns: dict[str, object] = {}
    by_key = False
    for key in _keys(text):
        mark = text.peek()
        if mark == "[" and text.starts_objects() and plain(key) not in _TURNS:
            if found:
                remedy = "Save one of them as a .json file."
                raise FileProblem(f"is an object with two lists of objects, '{found}' and '{key}'", start, remedy)
            found = key
            yield from _array(text)
        elif mark == "{" and (by_key or not columns) and not found and plain(key) not in _FIELD_NAMES:
            by_key = True
            yield text.element()
        else:
            columns[key] = text.value(MAX_COLUMN_BYTES)
    if text.peek() == "{" or (by_key and columns):
        raise _not_rows(start)
    if not (found or by_key):
        yield from _column_rows(columns, start, rules)


def _keys(text: JsonWindow) -> Iterator[str]:
    """Yield the keys of the object at the current position; the caller moves past their values."""
    text.skip(1)
    if text.peek() == "}":
        text.skip(1)
        return
    while True:
        text.peek()
        key = text.value(MAX_COLUMN_BYTES)
        if not isinstance(key, str) or text.peek() != ":":
            raise FileProblem("not JSON: an object's key and ':' are expected", text.line)
        text.skip(1)
        yield key
        if _ends(text, "}"):
            return


def _ends(text: JsonWindow, closing: str) -> bool:
    """Move past what follows a value; return whether it closes the array or object."""
    mark = text.peek()
    if mark not in (",", closing):
        what = "array" if closing == "]" else "object"
        after = "row" if closing == "]" else "value"
        told = f"the file ends inside the {what}" if not mark else f"',' or '{closing}' is expected after a {after}"
        raise FileProblem(told, text.line)
    text.skip(1)
    return mark == closing


def _column_rows(columns: Mapping[str, object], line: int, rules: ReadingRules) -> Iterator[RawRecord]:
    """Yield the rows of an object of columns, each of which is a list or an object from row number to value."""
    lists = {name: _cells(value) for name, value in columns.items()}
    known = {name: cells for name, cells in lists.items() if cells is not None}
    if not known or len(known) < len(lists) or len({*map(len, known.values())}) > 1:
        raise _not_rows(line)
    try:
        check_names([*known], rules, [*known])
    except RowProblem:
        raise _not_rows(line) from None
    for cells in zip(*known.values(), strict=True):
        yield RawRecord(line, str(dict(zip(known, cells, strict=True))), dict(zip(known, cells, strict=True)))


def _cells(value: object) -> list[object] | None:
    if isinstance(value, dict):
        return [*cast(Mapping[str, object], value).values()]
    return cast(list[object], value) if isinstance(value, list) else None


def _not_rows(line: int) -> FileProblem:
    remedy = "A file with one object per line is JSON Lines: name it .jsonl."
    return FileProblem("must be a JSON array of objects: [{...}, ...]", line, remedy)
