"""The study file's JSON Schema, made of the same types that check it, and a way to look up one place of it."""

from __future__ import annotations

from functools import cache
from typing import Any, cast

from pipelines.study.spec.study import Study

Node = dict[str, Any]


def schema() -> Node:
    """The JSON Schema (draft 2020-12) of a study file, for editors and other checkers."""
    study_schema = Study.model_json_schema()
    for node in (study_schema, *study_schema["$defs"].values()):
        _forbid_other_names(node)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **study_schema, "title": "evolgrid study"}


def node_at(loc: tuple[str | int, ...]) -> Node | None:
    """What the schema says about the place `loc` of a study, for instance `("models", "tiny", "engine")`."""
    node: Node | None = _schema()
    for part in loc:
        node = _child_node(node, part) if node is not None else None
    return _resolve(node) if node is not None else None


def _forbid_other_names(node: Node) -> None:
    """A mapping whose keys are names says so by a pattern only; without this, any other key would pass."""
    for child in node.get("properties", {}).values():
        if "patternProperties" in child:
            child["additionalProperties"] = False


@cache
def _schema() -> Node:
    return schema()


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
    """Of a list that may also be given as its one item, the form that has items or properties."""
    return next((found for choice in node.get("anyOf", []) if has in (found := _resolve(choice))), node)


def _resolve(node: Node) -> Node:
    """Follow references, and take the block of a value that may also be left out or only switched on."""
    if "$ref" in node:
        return _resolve(_schema()["$defs"][node["$ref"].rsplit("/", 1)[-1]])
    choices = [choice for choice in node.get("anyOf", []) if choice.get("type") not in ("null", "boolean")]
    return _resolve(choices[0]) if len(choices) == 1 else node
