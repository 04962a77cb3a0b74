"""What crosses between processes, and what does not."""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import Any

import pytest

from actors.sandbox.protocol import extended, wire

LIMIT = 10_000


class Number(int):
    pass


@pytest.mark.parametrize("value", [None, True, 7, -(10**40), 1.5, "ä\0\N{SNOWMAN}", [1, [], {}], {"a": {"!": [None]}}])
def test_plain_value_arrives_as_it_was(value: Any) -> None:
    arrived = wire.decode(wire.encode(value, LIMIT))
    assert arrived == value
    assert type(arrived) is type(value)


@pytest.mark.parametrize(
    "value", [(1,), {1}, b"x", 1j, {1: 2}, Number(1), object(), "\ud800", {"\ud800": 1}, [Counter()], [10**5000]]
)
def test_other_value_is_refused(value: Any) -> None:
    with pytest.raises(wire.NotSerializable):
        wire.encode(value, LIMIT)


def test_long_value_is_refused() -> None:
    with pytest.raises(wire.ValueTooLarge, match="10,001 bytes, 10,000 are allowed"):
        wire.encode("x" * 9_999, LIMIT)


@pytest.mark.parametrize(
    "text",
    [b"", b"\xff", b"[1", b"[" * 200_000, b"[" * 200 + b"]" * 200, b'"\\ud800"', b'{"\\ud800": 1}', b"1" * 5000],
)
def test_forged_text_is_refused(text: bytes) -> None:
    with pytest.raises(wire.NotSerializable):
        wire.decode(text)


@pytest.mark.parametrize(
    "value",
    [(1, (2.0, [])), {1, 2}, frozenset({(1, 2)}), b"\x00\xff", 1 - 2j, {1: {(1, 2): None}}, {"!": 1}, [int, str], True],
)
def test_extended_value_arrives_as_it_was(value: Any) -> None:
    arrived = extended.decode(extended.encode(value, LIMIT, {}), {}.__getitem__)
    assert arrived == value
    assert type(arrived) is type(value)


def test_dictionaries_of_other_types_arrive_as_dictionaries() -> None:
    for value in (Counter("aab"), OrderedDict(a=1)):
        assert extended.decode(extended.encode(value, LIMIT, {}), {}.__getitem__) == dict(value)


def test_object_crosses_as_a_name_only() -> None:
    objects: dict[str, Any] = {}
    number = Number(1)
    text = extended.encode([number], LIMIT, objects)
    assert list(objects.values()) == [number]
    assert extended.decode(text, lambda name: ("reference", name)) == [("reference", "Number #0")]
    assert extended.decode(text, objects.__getitem__)[0] is number


@pytest.mark.parametrize(
    "text", [b'{"!": "eval", "v": "1"}', b'{"!": "object", "v": "x"}', b'{"!": 1}', b'{"!": "set", "v": 1}']
)
def test_forged_tag_is_refused(text: bytes) -> None:
    with pytest.raises(wire.NotSerializable):
        extended.decode(text, {}.__getitem__)
