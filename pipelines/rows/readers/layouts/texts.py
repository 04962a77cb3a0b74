"""Checks that values are text, and reads contents that are lists of parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from pipelines.rows.readers.layouts.names import TEXT_PARTS, THOUGHT_PARTS
from pipelines.rows.readers.seed_rows import Note, RowProblem

THOUGHTS = Note("thoughts of the assistant, which are not used")
_JSON_TYPES: dict[type, str] = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
}


def checked_text(name: str, value: object) -> str:
    """Return a value that is text, or "" for null.

    Raises:
        RowProblem: If it is not text, or not valid Unicode. `name` is the field that it names.
    """
    if value is None:
        return ""
    if isinstance(value, RowProblem):
        raise value
    if not isinstance(value, str):
        raise RowProblem("wrong-type", f"must be text; here is {json_type(value)}", name)
    if "\0" in value:
        raise RowProblem("nul", "holds a NUL character", name)
    if not value.isascii():
        _check_surrogates(name, value)
    return value


def content_text(name: str, value: object) -> tuple[str, tuple[Note, ...]]:
    """Return the text of a turn: a text, null, or a list of parts, of which those with text are joined by line ends.

    Raises:
        RowProblem: If a part is not text.
    """
    if isinstance(value, dict):
        found = cast(Mapping[str, object], value)
        value = found.get("parts", [value])
    if not isinstance(value, list):
        return checked_text(name, value), ()
    texts: list[str] = []
    notes: tuple[Note, ...] = ()
    for part in cast(list[object], value):
        kind, text = _part(name, part)
        if kind in THOUGHT_PARTS:
            notes = (THOUGHTS,)
        else:
            texts.append(text)
    return "\n".join(texts), notes


def json_type(value: object) -> str:
    """Return what JSON calls a value, as a noun phrase."""
    if value is None:
        return "null"
    return next((word for kind, word in _JSON_TYPES.items() if isinstance(value, kind)), "text")


def is_empty(value: object) -> bool:
    """Return whether a value says nothing: null, blank text, or an empty list or object, also as text."""
    return value is None or value in ([], {}) or (isinstance(value, str) and value.strip() in ("", "[]", "{}", "null"))


def _part(name: str, part: object) -> tuple[str, str]:
    """Return the kind and the text of a part of a content."""
    if isinstance(part, str):
        return "text", checked_text(name, part)
    fields = cast(Mapping[str, object], part) if isinstance(part, dict) else {}
    kind = fields.get("type") or ("text" if "text" in fields else None)
    if kind in THOUGHT_PARTS:
        return str(kind), ""
    if kind not in TEXT_PARTS:
        what = ascii(str(kind or json_type(part))[:40])
        raise RowProblem("content-part", f"has a part of the type {what}, which is not text", name)
    return "text", checked_text(name, fields.get("text"))


def _check_surrogates(name: str, value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        code = ord(value[error.start])
        raise RowProblem("lone-surrogate", f"holds half a surrogate pair (U+{code:04X})", name) from None
