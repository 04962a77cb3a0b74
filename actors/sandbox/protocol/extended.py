"""Encodes values between a solution and its tests: also tuples, sets, bytes..., and references to objects."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any

from actors.sandbox.protocol import wire

_SEQUENCES: dict[str, Callable[[list[Any]], Any]] = {"tuple": tuple, "set": set, "frozenset": frozenset}
_TYPES = {kind.__name__: kind for kind in (bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset)}
_DICTS = (dict, Counter, OrderedDict, defaultdict)


def encode(value: Any, limit: int, objects: dict[str, Any]) -> bytes:
    """Encode a value on the solution's side. Other objects are added to `objects`, and their names there are sent."""

    def lower(item: Any) -> tuple[str, Any]:
        common = _to_tagged(item)
        if common is not None:
            return common
        name = f"{type(item).__name__} #{len(objects)}"
        objects[name] = item
        return "object", name

    return wire.encode(value, limit, lower)


def encode_call(name: str, arguments: tuple[Any, ...], named: dict[str, Any], limit: int) -> bytes:
    """Encode a call on the tests' side. Arguments may be references to the solution's objects."""

    def lower(item: Any) -> tuple[str, Any]:
        common = _to_tagged(item)
        if common is not None:
            return common
        if hasattr(item, "ask"):
            return "object", item.name
        raise wire.NotSerializable(f"an argument of type {type(item).__name__} cannot be sent")

    return wire.encode([name, list(arguments), named], limit, lower)


def decode(text: bytes, find: Callable[[str], Any]) -> Any:
    """Decode a text. `find` returns the object with a name, and raises KeyError for an unknown name."""

    def raised(tag: str, content: Any) -> Any:
        try:
            return find(content) if tag == "object" else _from_tagged(tag, content)
        except (KeyError, TypeError, ValueError) as error:
            raise wire.NotSerializable(f"invalid value: {error}") from None

    return wire.decode(text, raised)


def _to_tagged(value: Any) -> tuple[str, Any] | None:
    kind = type(value)
    if kind.__name__ in _SEQUENCES and kind is _SEQUENCES[kind.__name__]:
        return kind.__name__, list(value)
    if kind in _DICTS:
        return "dict", [[key, item] for key, item in value.items()]
    if kind is bytes:
        return "bytes", value.hex()
    if kind is complex:
        return "complex", [value.real, value.imag]
    if kind is type and _TYPES.get(value.__name__) is value:
        return "type", value.__name__
    return None


def _from_tagged(tag: str, content: Any) -> Any:
    if tag in _SEQUENCES:
        return _SEQUENCES[tag](content)
    if tag == "dict":
        return dict(content)
    if tag == "bytes":
        return bytes.fromhex(content)
    if tag == "complex":
        return complex(*content)
    if tag == "type":
        return _TYPES[content]
    raise ValueError(f"unknown tag {tag}")
