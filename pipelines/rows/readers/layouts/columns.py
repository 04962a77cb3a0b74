"""Turns a record of any format into a seed row: finds the fields by name, and checks that they contain text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from pipelines.rows.readers.layouts.conversations import flatten
from pipelines.rows.readers.seed_rows import RowProblem, SeedRow

ALIASES = {
    "instruction": ("instruction", "question", "prompt"),
    "input": ("input",),
    "output": ("output", "response", "answer"),
}
_JSON_TYPES: dict[type, str] = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
}


def match_columns(names: Iterable[str]) -> dict[str, str]:
    """Return the name of the column for each field of a seed row.

    Raises:
        RowProblem: If two names match one field, or none matches the instruction.
    """
    present = list(names)
    chosen: dict[str, str] = {}
    for field, aliases in ALIASES.items():
        matches = [name for name in aliases if name in present]
        if len(matches) > 1:
            raise RowProblem("ambiguous-field", f"both {' and '.join(matches)} could be the {field}", field)
        if matches:
            chosen[field] = matches[0]
    if "instruction" not in chosen:
        raise RowProblem(
            "missing-instruction",
            f"there is no instruction (or question, prompt); {_describe_fields(present)}",
            "instruction",
        )
    return chosen


def to_row(index: int, record: object) -> SeedRow:
    """Return the seed row of a record, with its text unchanged. Other fields are ignored.

    Raises:
        RowProblem: If the record is not a seed row.
    """
    if not isinstance(record, dict):
        raise RowProblem("not-an-object", f"a row must be an object with an instruction; here is {_json_type(record)}")
    values = flatten(cast(Mapping[str, object], record))
    chosen = match_columns(values)
    texts = {field: _checked_text(name, values[name]) for field, name in chosen.items()}
    if not texts["instruction"].strip():
        raise RowProblem("empty-instruction", "is empty", chosen["instruction"])
    return SeedRow(index, texts["instruction"], texts.get("input", ""), texts.get("output", ""))


def _checked_text(name: str, value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RowProblem("wrong-type", f"must be text; here is {_json_type(value)}", name)
    if "\0" in value:
        raise RowProblem("nul", "holds a NUL character", name)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        code = ord(value[error.start])
        raise RowProblem("lone-surrogate", f"holds half a surrogate pair (U+{code:04X})", name) from None
    return value


def _json_type(value: object) -> str:
    if value is None:
        return "null"
    return next((word for kind, word in _JSON_TYPES.items() if isinstance(value, kind)), "text")


def _describe_fields(names: list[str]) -> str:
    shown = ", ".join(ascii(name[:40])[1:-1] for name in names[:10])
    return f"the fields are {shown}" if names else "there are no fields"
