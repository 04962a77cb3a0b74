"""Renders the reference of a study file's keys from its JSON Schema, which is made from the types."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.study.file.json_schema import schema

Node = Mapping[str, Any]
_INTRO = """# Keys of a study

Every key of a study file, from the types that read it. `evolgrid schema > study.schema.json` writes the same as a JSON
Schema, with which editors complete and check a study. Unknown keys are errors. Plug-ins may add keys
([extending](../extending.md)).

"""
_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
    "minItems": "at least {} of them",
    "maxItems": "at most {} of them",
}
_TYPES = {"string": "text", "integer": "integer", "number": "number", "boolean": "true or false", "object": "mapping"}


def study_reference() -> str:
    """Return the page (Markdown): one table for the file, and one for each block."""
    whole = schema()
    blocks = {name: node for name, node in whole["$defs"].items() if "properties" in node}
    parts = [_INTRO, "## The file\n\n", *_table(whole, blocks)]
    for name, node in blocks.items():
        parts += [f"\n## {name}\n\n", _described(node.get("description", "")), *_used_by(name, whole, blocks)]
        parts += _table(node, blocks)
    return "".join(parts)


def _described(text: str) -> str:
    return f"{_cell(' '.join(text.split()))}\n\n" if text else ""


def _used_by(name: str, whole: Node, blocks: Mapping[str, Node]) -> Iterator[str]:
    """Yield where a block is used."""
    places = [f"`{key}`" for key, field in whole["properties"].items() if _refers(field, name)]
    places += [
        f"`{key}` of [{other}](#{other.lower()})"
        for other, node in blocks.items()
        for key, field in node["properties"].items()
        if _refers(field, name)
    ]
    if places:
        yield f"Used by {', '.join(places)}.\n\n"


def _refers(field: Any, name: str) -> bool:
    return f'"#/$defs/{name}"' in json.dumps(field)


def _table(node: Node, blocks: Mapping[str, Node]) -> Iterator[str]:
    yield "| key | value | default | meaning |\n|---|---|---|---|\n"
    required = node.get("required", ())
    for key, field in node["properties"].items():
        default = "required" if key in required else _default(field)
        yield f"| `{key}` | {_type(field, blocks)} | {default} | {_cell(_meaning(field, blocks))} |\n"


def _meaning(field: Node, blocks: Mapping[str, Node]) -> str:
    """Return a field's description or, without one, the first sentence of its block's."""
    if text := field.get("description", ""):
        return text
    named = re.findall(r'"#/\$defs/(\w+)"', json.dumps(field))
    described = [" ".join(blocks[name].get("description", "").split()) for name in named if name in blocks]
    return re.split(r"(?<!App)\. ", described[0])[0].rstrip(".") if described else ""


def _default(field: Node) -> str:
    value = field.get("default")
    is_block = isinstance(value, dict) or (isinstance(value, list) and any(isinstance(each, dict) for each in value))
    return "" if value in (None, "", [], {}) or is_block else f"`{json.dumps(value, ensure_ascii=False)}`"


def _type(field: Node, blocks: Mapping[str, Node]) -> str:
    """Return a field's type as Markdown."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})" if name in blocks else name
    if options := field.get("anyOf") or field.get("oneOf"):
        shown = [_type(each, blocks) for each in options if each.get("type") != "null"]
        return " or ".join(dict.fromkeys(shown))
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"] if value is not None)
    if "const" in field:
        return f"`{field['const']}`"
    if field.get("type") == "array":
        return f"list of {_type(field['items'], blocks)}{_bounds(field)}" if "items" in field else "list"
    if field.get("type") == "object":
        inner = next(iter(field.get("patternProperties", {}).values()), field.get("additionalProperties"))
        return f"mapping of names to {_type(inner, blocks)}" if isinstance(inner, dict) and inner else "mapping"
    return _TYPES.get(field.get("type", ""), "any value") + _bounds(field)


def _bounds(field: Node) -> str:
    found = [text.format(field[name]) for name, text in _BOUNDS.items() if name in field]
    return f" ({', '.join(found)})" if found else ""


def _cell(text: str) -> str:
    """Return a text for a cell of a table; names of pages become links."""
    plain = text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
    return re.sub(r"docs/(\w+)\.md", r"[\1](../\1.md)", plain)
