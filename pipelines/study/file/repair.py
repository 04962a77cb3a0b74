"""Corrects the mistakes of a study's types as far as a correction is certain, so that its other mistakes are found."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, cast

from pydantic import ValidationError

from pipelines.study.file.json_schema import node_at
from pipelines.study.file.validation_errors import intended_keys
from pipelines.study.file.yaml_tree import Loc, Tree, nearest_loc_in_file


def repaired(tree: Tree, error: ValidationError) -> Any | None:
    """Return the content of the file with every wrong value renamed, replaced or left out; None if that cannot be.

    A misspelt key gets the name that was probably meant, a wrong choice the first valid one. Any other wrong value is
    left out, so that its default is used. An item of a list cannot be left out: the places of the others would change.
    """
    value = copy.deepcopy(tree.value)
    details = error.errors(include_url=False)
    intended = intended_keys(details)
    for item in details:
        loc = item["loc"]
        if item["type"] == "missing":
            if loc not in intended.values():
                return None
        elif not _correct(value, nearest_loc_in_file(loc, tree.line_numbers), item, intended.get(loc)):
            return None
    return value


def _correct(value: Any, loc: Loc, item: Mapping[str, Any], meant: Loc | None) -> bool:
    """Correct one mistake in place; return whether that was possible."""
    parent = _at(value, loc[:-1]) if loc else None
    if not isinstance(parent, dict):
        return False
    fields, key = cast(dict[Any, Any], parent), loc[-1]
    if key not in fields:
        return True  # another mistake of the same value has removed it
    wrong = fields.pop(key)
    if meant is not None and meant[-1] not in fields:
        fields[meant[-1]] = wrong
    elif item["type"] == "literal_error" and (valid := (node_at(loc) or {}).get("enum")):
        fields[key] = valid[0]
    return True


def _at(value: Any, loc: Loc) -> Any:
    for key in loc:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return None
    return value
