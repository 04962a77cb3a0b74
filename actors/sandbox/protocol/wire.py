"""Values between processes: JSON with tags for what JSON lacks, checked strictly on both sides, never pickle.

Plain values (None, bool, int, float, str, list, dict with str keys) are written as themselves. Where `extended`, a
tuple is {"!": "tuple", "v": [...]}, and so on. Frames are four bytes of length and the text.
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
    """A value that can not cross; the text says which."""


class ValueTooLarge(Exception):
    """A value whose text is longer than allowed."""


def encode(value: Any, limit: int, extended: Callable[[Any], Any] | None = None) -> bytes:
    """The ASCII text of a value; `extended` turns what is not plain into [tag, plain content].

    NotPlain for other types (also subclasses), lone surrogates and deep nesting; TooLong beyond `limit` bytes.
    """
    try:
        text = json.dumps(_to_plain(value, extended, MAX_DEPTH)).encode("ascii")
    except ValueError as error:  # an integer of too many digits
        raise NotSerializable(str(error)) from None
    if len(text) > limit:
        raise ValueTooLarge(f"the result has {len(text):,} bytes, {limit:,} are allowed")
    return text


def decode(text: bytes, extended: Callable[[str, Any], Any] | None = None) -> Any:
    """The value of a text that `encode` made, or NotPlain: the text may be forged."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotSerializable(f"no value: {error}") from None
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
        raise NotSerializable(f"a value of type {kind.__name__} can not be returned")
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
        raise NotSerializable("a tag that is no text")
    return extended(value[TAG], _from_plain(value.get("v"), extended, depth - 1))


def _check_text(text: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise NotSerializable("a text with lone surrogates") from None
    return text


def sanitize_text(text: str, length: int = 500) -> str:
    """A short text that can be stored anywhere: no surrogates, no NUL."""
    return text[:length].encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def send(fd: int, text: bytes) -> None:
    """Write one frame to a pipe."""
    rest = memoryview(len(text).to_bytes(4, "big") + text)
    while rest:
        rest = rest[os.write(fd, rest) :]


def receive(fd: int, limit: int) -> bytes | None:
    """Read one frame from a pipe; None at its end. TooLong if the frame says that it has more than `limit` bytes."""
    head = _read_exactly(fd, 4)
    if head is None:
        return None
    size = int.from_bytes(head, "big")
    if size > limit:
        raise ValueTooLarge(f"a message of {size:,} bytes, {limit:,} are allowed")
    return _read_exactly(fd, size)


def _read_exactly(fd: int, size: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        part = os.read(fd, min(size - len(parts), 1 << 16))
        if not part:
            return None
        parts += part
    return bytes(parts)
