"""Versions of the study file's format: which are read, and what has become of keys that older files have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from pipelines.errors import InputError
from pipelines.study.file.yaml_tree import Loc, Tree

VERSION = 1  # increased if a file of the version before could mean something else
VERSION_KEY = "evolgrid"

RENAMED_KEYS: Mapping[tuple[str, ...], str] = {
    ("benchmarks", "judge", "difficulty"): "It is now 'length_control', with the path of AlpacaEval's df_gamed.csv.",
}
"""What to do about each key that a released version had and this one does not have, by its path without indices."""


def check_version(tree: Tree, file: str | None) -> None:
    """Check that a file is of a version that can be read; one that does not say its version is of version 1.

    Raises:
        InputError: It is of another version.
    """
    value = cast(dict[str, object], tree.value).get(VERSION_KEY, VERSION)
    if value == VERSION and not isinstance(value, bool):
        return
    message = f"'{value}' is not a version of the format"
    remedy = f"Write '{VERSION_KEY}: {VERSION}', or leave the key out."
    if isinstance(value, int) and value > VERSION:
        message = f"the file is of version {value} of the format, and this evolgrid reads version {VERSION}"
        remedy = "Update evolgrid."
    line = tree.line_numbers.get((VERSION_KEY,), 1)
    raise InputError(message, file=file, line=line, field=VERSION_KEY, remedy=remedy)


def renamed_remedy(loc: Loc) -> str | None:
    """Return what to do about a key of older files; None for a key that no version has had."""
    return RENAMED_KEYS.get(tuple(part for part in loc if isinstance(part, str)))
