"""Turns a study that was written in Python into what its file would give: plain values with the place of each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any, cast

from pydantic import BaseModel

from pipelines.errors import InputError
from pipelines.study.file.yaml_tree import MAX_DEPTH, MAX_INTEGER, NOT_TEXT, Loc, Tree, Value, dotted_path


def tree_of(content: Mapping[str, Any]) -> Tree:
    """Return the plain values of a study's content. All its places are in line 1.

    Paths become text, tuples lists, and blocks of the study file (`StrictModel`) mappings of their keys.

    Raises:
        InputError: A value is of a type that a study file cannot have.
    """
    places: dict[Loc, int] = {(): 1}
    return Tree(_plain(content, (), places), places)


def plain_block(block: BaseModel) -> dict[str, Any]:
    """Return a block of a study as a file would have it: without the keys that have their default values."""
    return block.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def _plain(value: Any, loc: Loc, places: dict[Loc, int]) -> Value:
    places[loc] = 1
    if len(loc) > MAX_DEPTH:
        raise _error(loc, f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, BaseModel):
        value = plain_block(value)
    if isinstance(value, Mapping):
        return {_key(key, loc): _plain(each, (*loc, key), places) for key, each in cast(Any, value).items()}
    if isinstance(value, list | tuple):
        return [_plain(each, (*loc, index), places) for index, each in enumerate(cast(Any, value))]
    return _scalar(value, loc)


def _key(key: object, loc: Loc) -> str:
    if not isinstance(key, str):
        raise _error(loc, f"the key {key!r} is not text")
    return _text(key, loc)


def _scalar(value: Any, loc: Loc) -> Value:
    if isinstance(value, PurePath | Enum):
        value = str(value) if isinstance(value, PurePath) else value.value
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise _error(loc, "this whole number is too large (64 bits at most)")
    if isinstance(value, float) and not math.isfinite(value):
        raise _error(loc, f"{value} is not a number that can be used here")
    if isinstance(value, str):
        return _text(value, loc)
    if isinstance(value, int | float):
        return float(value) if isinstance(value, float) else int(value)
    remedy = "Use text, a number, True, False, None, a list, a dict, or a block such as evolgrid.Model."
    raise _error(loc, f"a value of the type '{type(value).__name__}' cannot be in a study", remedy)


def _text(value: str, loc: Loc) -> str:
    if bad := NOT_TEXT.search(value):
        raise _error(loc, f"contains U+{ord(bad[0]):04X}, which is not text")
    return str(value)


def _error(loc: Loc, message: str, remedy: str | None = None) -> InputError:
    return InputError(message, field=dotted_path(loc) or None, remedy=remedy)
