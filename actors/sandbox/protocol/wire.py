"""Encodes values between processes as JSON with tags for other types. Both sides check strictly; pickle is never used.

Plain values (None, bool, int, float, str, list, dict with str keys) are written as ordinary JSON. In extended texts a
tuple is {"!": "tuple", "v": [...]}, and so on. A frame is the length of the text in four bytes, then the text.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

MAX_DEPTH = 100
TAG = "!"
_ATOMS = (type(None), bool, int, float)


class NotSerializable(Exception):
    """A value that cannot be encoded or decoded. The message says which."""


class ValueTooLarge(Exception):
    """A value whose encoding is longer than allowed."""


def encode(value: Any, limit: int, extended: Callable[[Any], Any] | None = None) -> bytes:
    """Encode a value as ASCII text. `extended` converts a value that is not plain to (tag, content).

    Raises:
        NotSerializable: The value has another type (subclasses count as other types), contains lone surrogates, or is
            nested too deeply.
        ValueTooLarge: The text is longer than `limit` bytes.
    """
    try:
        text = json.dumps(_to_plain(value, extended, MAX_DEPTH)).encode("ascii")
    except ValueError as error:  # an integer with too many digits
        raise NotSerializable(str(error)) from None
    if len(text) > limit:
        raise ValueTooLarge(f"the result has {len(text):,} bytes, {limit:,} are allowed")
    return text


def decode(text: bytes, extended: Callable[[str, Any], Any] | None = None) -> Any:
    """Decode a text of `encode`. `extended` converts a tag and its content back to a value.

    Raises:
        NotSerializable: The text is not valid. It may be forged.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotSerializable(f"invalid text: {error}") from None
    return _from_plain(value, extended, MAX_DEPTH)


def _to_plain(value: Any, extended: Callable[[Any], Any] | None, depth: int) -> Any:
    kind = type(value)
    if kind in _ATOMS:
        return value
    if kind is str:
        return _check_text(value)
    if not depth:
        raise NotSerializable(f"nested more than {MAX_DEPTH} deep")
    if kind is list:
        return [_to_plain(item, extended, depth - 1) for item in value]
    if kind is dict and all(type(key) is str for key in value) and (extended is None or TAG not in value):
        return {_check_text(key): _to_plain(item, extended, depth - 1) for key, item in value.items()}
    if extended is None:
        raise NotSerializable(f"a value of type {kind.__name__} cannot be returned")
    tag, content = extended(value)
    return {TAG: tag, "v": _to_plain(content, extended, depth - 1)}


def _from_plain(value: Any, extended: Callable[[str, Any], Any] | None, depth: int) -> Any:
    if isinstance(value, str):
        return _check_text(value)
    if not isinstance(value, list | dict):
        return value
    if not depth:
        raise NotSerializable(f"nested more than {MAX_DEPTH} deep")
    if isinstance(value, list):
        return [_from_plain(item, extended, depth - 1) for item in value]
    if extended is None or TAG not in value:
        return {_check_text(key): _from_plain(item, extended, depth - 1) for key, item in value.items()}
    if type(value[TAG]) is not str:
        raise NotSerializable("a tag that is not a string")
    return extended(value[TAG], _from_plain(value.get("v"), extended, depth - 1))


def _check_text(text: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise NotSerializable("a text with lone surrogates") from None
    return text


def sanitize_text(text: str, length: int = 500) -> str:
    """Return the first `length` characters with surrogates and NUL replaced, so that any format can store the text."""
    return text[:length].encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def send(fd: int, text: bytes) -> None:
    """Write one frame to a pipe."""
    rest = memoryview(len(text).to_bytes(4, "big") + text)
    while rest:
        rest = rest[os.write(fd, rest) :]


def receive(fd: int, limit: int) -> bytes | None:
    """Read one frame from a pipe. Returns None at its end.

    Raises:
        ValueTooLarge: The frame's header announces more than `limit` bytes.
    """
    head = _read_exactly(fd, 4)
    if head is None:
        return None
    size = int.from_bytes(head, "big")
    if size > limit:
        raise ValueTooLarge(f"the message has {size:,} bytes, {limit:,} are allowed")
    return _read_exactly(fd, size)


def _read_exactly(fd: int, size: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        part = os.read(fd, min(size - len(parts), 1 << 16))
        if not part:
            return None
        parts += part
    return bytes(parts)
