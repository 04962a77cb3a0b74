"""The JSON Schema of study files, derived from the types that validate them, and a lookup by location."""

from __future__ import annotations

from functools import cache
from typing import Any, cast

from pipelines.study.file.study_type import study_type
from pipelines.study.file.versions import VERSION
from pipelines.study.plugins.active import on_change

Node = dict[str, Any]


def schema() -> Node:
    """Return the JSON Schema (draft 2020-12) of a study file with this process's plug-ins, for editors."""
    study_schema = study_type().model_json_schema()
    for node in (study_schema, *study_schema["$defs"].values()):
        _forbid_other_names(node)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **study_schema,
        "title": f"evolgrid study, version {VERSION}",
    }


def node_at(loc: tuple[str | int, ...]) -> Node | None:
    """Return the schema of a location in a study, for instance `("models", "tiny", "engine")`; None if it has none."""
    node: Node | None = _schema()
    for part in loc:
        node = _child_node(node, part) if node is not None else None
    return _resolve(node) if node is not None else None


def keys_at(loc: tuple[str | int, ...]) -> list[str]:
    """Return the keys of the block at a location, which may also be given as text; none without a block there."""
    return list(_variant_with(node_at(loc) or {}, "properties").get("properties", {}))


def _forbid_other_names(node: Node) -> None:
    """Reject keys that do not match the pattern of a mapping: JSON Schema allows them by default."""
    for child in node.get("properties", {}).values():
        if "patternProperties" in child:
            child["additionalProperties"] = False


@cache
def _schema() -> Node:
    return schema()


on_change(_schema.cache_clear)


def _child_node(node: Node, part: str | int) -> Node | None:
    node = _variant_with(_resolve(node), "items" if isinstance(part, int) else "properties")
    if isinstance(part, int):
        return node.get("items")
    named = node.get("properties", {}).get(part)
    if named is not None:
        return cast(Node, named)
    patterns = node.get("patternProperties") or {"": node.get("additionalProperties")}
    found = next(iter(patterns.values()))
    return cast(Node, found) if isinstance(found, dict) else None


def _variant_with(node: Node, has: str) -> Node:
    """Return the form of a node that has items or properties: a list may also be given as its single item."""
    return next((found for choice in node.get("anyOf", []) if has in (found := _resolve(choice))), node)


def _resolve(node: Node) -> Node:
    """Follow references. For a block that may also be null or a boolean, return the schema of the block."""
    if "$ref" in node:
        return _resolve(_schema()["$defs"][node["$ref"].rsplit("/", 1)[-1]])
    choices = [choice for choice in node.get("anyOf", []) if choice.get("type") not in ("null", "boolean")]
    return _resolve(choices[0]) if len(choices) == 1 else node
