"""Turns pydantic's errors into messages for authors of study files, with the line and the closest valid name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence, Set
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from pipelines.errors import InputError, nearest
from pipelines.study.file.json_schema import Node, keys_at, node_at
from pipelines.study.file.versions import renamed_remedy
from pipelines.study.file.yaml_tree import Loc, Tree, dotted_path, nearest_loc_in_file

NAME_RULE = "lower-case letters, digits, '.', '_' and '-', at most 64, the first a letter or a digit"
_QUOTED = re.compile("'([^']*)'")
_EXAMPLES = {"array": "[...]", "object": "{...}", "integer": "1", "number": "0.5", "boolean": "true", "string": "..."}
_TYPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
}


def describe_validation_error(error: ValidationError, tree: Tree, file: str | None) -> list[InputError]:
    """Return every mistake as an InputError; there is at least one."""
    found: dict[tuple[Loc, str], InputError] = {}
    details = error.errors(include_url=False)
    intended = intended_keys(details)
    for item in details:
        loc, is_missing = item["loc"], item["type"] == "missing"
        if is_missing and loc in intended.values():
            continue  # the misspelt key beside it is reported, and this name suggested
        written_loc = nearest_loc_in_file(loc, tree.line_numbers)
        if item["type"] == "extra_forbidden" and (renamed := renamed_remedy(loc)):
            message, remedy = f"the key '{loc[-1]}' has another name now", renamed
        elif name := intended.get(loc):
            message, remedy = f"unknown key '{loc[-1]}'", f"Did you mean '{name[-1]}'?"
        else:
            message, remedy = _describe_detail(item["type"], loc, written_loc, item)
        line = tree.line_numbers.get(written_loc, 1)
        problem = InputError(message, file=file, line=line, field=dotted_path(written_loc) or None, remedy=remedy)
        found[(loc if is_missing else written_loc, item["type"] if written_loc == loc else "")] = problem
    return list(found.values())


def intended_keys(details: Sequence[Mapping[str, Any]]) -> dict[Loc, Loc | None]:
    """Return, for the place of each unknown key in pydantic's errors, the place of the key that was probably meant."""
    missing = {item["loc"] for item in details if item["type"] == "missing"}
    return {
        item["loc"]: _intended_key(item["loc"], missing, item["input"])
        for item in details
        if item["type"] == "extra_forbidden"
    }


def describe_value(value: object) -> str:
    """Return the type of a value in everyday words, with the value if it is short."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text '{value[:40]}{'...' if len(value) > 40 else ''}'"
    if value in ([], {}):
        return "an empty list" if isinstance(value, list) else "an empty mapping"
    return "a list" if isinstance(value, list) else "a mapping"


def _describe_detail(kind: str, loc: Loc, written_loc: Loc, item: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return message and remedy for one of pydantic's errors."""
    value, limits = item["input"], item.get("ctx", {})
    if kind == "missing":
        return _missing(loc)
    if kind == "extra_forbidden":
        return f"unknown key '{loc[-1]}'", nearest(str(loc[-1]), keys_at(loc[:-1]))
    if kind == "literal_error":
        named = _QUOTED.findall(limits["expected"]) or [limits["expected"]]
        valid = [str(one) for one in (node_at(written_loc) or {}).get("enum", [])] or named
        remedy = nearest(value, valid) if isinstance(value, str) else None
        return f"must be one of {', '.join(valid)}; here is {describe_value(value)}", remedy
    if kind == "string_pattern_mismatch":
        return f"'{value}' cannot be a name", f"A name has {NAME_RULE}."
    if kind in _TYPES:
        return _wrong_type(kind, loc, written_loc, value)
    if kind in _LIMITS:
        return f"{_LIMITS[kind](limits)}; here is {describe_value(value)}", None
    return str(limits.get("error", item["msg"])), None


_LIMITS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than": lambda limits: f"must be more than {limits['gt']:g}",
    "greater_than_equal": lambda limits: f"must be {limits['ge']:g} or more",
    "less_than": lambda limits: f"must be less than {limits['lt']:g}",
    "less_than_equal": lambda limits: f"must be {limits['le']:g} or less",
    "too_short": lambda limits: f"needs at least {limits['min_length']} entry",
    "too_long": lambda limits: f"has more than {limits['max_length']} entries",
}


def _wrong_type(kind: str, loc: Loc, written_loc: Loc, value: object) -> tuple[str, str | None]:
    wanted = _TYPES[kind]
    if loc != written_loc and loc[-1] in ("str", "int", "float", "bool"):
        wanted = "text, a number, true or false"
    remedy = "Put it in quotes." if wanted == "text" and isinstance(value, int | float) else None
    return f"must be {wanted}; here is {describe_value(value)}", remedy


def _missing(loc: Loc) -> tuple[str, str | None]:
    key = str(loc[-1])
    node = node_at(loc) or {}
    about = f" ({node['description']})" if "description" in node else ""
    return f"missing key '{key}'{about}", f"Add for example '{key}: {_example(node, key)}'."


def _example(node: Node, key: str) -> str:
    if "examples" in node:
        return str(node["examples"][0])
    if "enum" in node:
        return str(node["enum"][0])
    if "pattern" in node:
        return f"my-{key}"
    return _EXAMPLES.get(str(node.get("type")), "...")


def _intended_key(loc: Loc, missing: Set[Loc], value: object) -> Loc | None:
    """Return the location of the valid key that is closest to an unknown one.

    Missing keys come first, then those that take a list if `value` is one.
    """
    absent = [str(other[-1]) for other in missing if other[:-1] == loc[:-1]]
    known = get_close_matches(str(loc[-1]), keys_at(loc[:-1]))
    close = [
        *get_close_matches(str(loc[-1]), absent, n=1),
        *(name for name in known if isinstance(value, list) == _takes_list((*loc[:-1], name))),
        *known,
    ]
    return (*loc[:-1], close[0]) if close else None


def _takes_list(loc: Loc) -> bool:
    node = node_at(loc) or {}
    return "array" in (node.get("type"), *(choice.get("type") for choice in node.get("anyOf", [])))
