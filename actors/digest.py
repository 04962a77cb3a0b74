"""Identity of requests and trainings by their named fields: an answer that was kept belongs to exactly its request."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

VERSION = 1  # raise it to forget all that was kept under the digests of before


def digest(kind: str, *values: object) -> str:
    """Return 32 hex digits that stand for `values`: dataclasses, sequences, text, numbers, booleans and None.

    A field of a dataclass that has its default value is left out, so a new field with a default leaves the digests of
    before as they are. Names of classes and the order of fields do not count; the names of fields do, and so does
    `kind`. Changing a field's default needs a new VERSION.

    Raises:
        TypeError: A value of another type.
        ValueError: A number that is not finite.
    """
    text = json.dumps([VERSION, kind, *map(_plain, values)], sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _plain(value: object) -> Any:
    """`value` as JSON data."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        named = ((name, getattr(value, name), default) for name, default in _fields(type(value)))
        return {name: _plain(given) for name, given, default in named if given != default}
    raise TypeError(f"no digest can be made of a {type(value).__name__}")


@cache
def _fields(record: type[Any]) -> tuple[tuple[str, object], ...]:
    """Names and defaults of a dataclass's fields. Where there is no default, a marker that equals no value."""
    return tuple((field.name, field.default) for field in fields(record))
