"""Digests of requests and trainings by their named fields, under which their results are stored."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

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
    text = _to_json([VERSION, kind, *values])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _given_fields(record: object) -> dict[str, Any]:
    """Return the fields of a dataclass that do not have their default value."""
    if not is_dataclass(record) or isinstance(record, type):
        raise TypeError(f"cannot compute a digest of a {type(record).__name__}")
    return {
        name: given
        for name, default in _fields(type(record))
        if (given := getattr(record, name)) is not default and given != default
    }


@cache
def _fields(record: type[Any]) -> tuple[tuple[str, object], ...]:
    """Return names and defaults of a dataclass's fields. A missing default is a marker that equals no value."""
    return tuple((field.name, field.default) for field in fields(record))


_to_json = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), allow_nan=False, check_circular=False, default=_given_fields
).encode
