"""Digests of requests and trainings by their named fields, under which their results are stored."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

_SCALARS = frozenset({str, int, float, bool, type(None)})
_to_json = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode
VERSION = 1  # incrementing it invalidates all results that are stored under earlier digests


def digest(kind: str, *values: object) -> str:
    """Return 32 hex digits that identify `values`: dataclasses, sequences, text, numbers, booleans and None.

    A dataclass field that has its default value is left out, so adding a field with a default does not change existing
    digests. The digest depends on `kind` and the names of fields, but not on the names of classes or the order of
    fields. Changing a field's default requires a new VERSION.

    Raises:
        TypeError: A value has another type.
        ValueError: A number is not finite.
    """
    text = _to_json([VERSION, kind, *map(_plain, values)])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _plain(value: object) -> Any:
    """Return `value` as JSON data."""
    kind = type(value)
    if kind in _SCALARS or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [item if type(item) is str else _plain(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {
            name: given if type(given) is str else _plain(given)
            for name, default in _fields(kind)
            if (given := getattr(value, name)) is not default and given != default
        }
    raise TypeError(f"cannot compute a digest of a {type(value).__name__}")


@cache
def _fields(record: type[Any]) -> tuple[tuple[str, object], ...]:
    """Return names and defaults of a dataclass's fields. A missing default is a marker that equals no value."""
    return tuple((field.name, field.default) for field in fields(record))
