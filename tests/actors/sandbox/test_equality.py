"""Strict equality of plain values."""

from __future__ import annotations

from typing import Any

import pytest

from actors.sandbox.equality import equal, matches
from actors.sandbox.protocol.job import Outcome

NAN = float("nan")


@pytest.mark.parametrize(
    "value", [None, True, False, 0, 1, -(10**30), 1.5, "", "a", [], [1, [True, None]], {}, {"a": {"b": [1.0]}}]
)
def test_value_equals_itself(value: Any) -> None:
    assert equal(value, value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, True),
        (0, False),
        ("true", True),
        (None, False),
        (1, 1.0),
        (NAN, NAN),
        ([NAN], [NAN]),
        ([1], [True]),
        ([1, 2], [1]),
        ({"a": 1}, {"a": True}),
        ({"a": 1}, {"a": 1, "b": 1}),
        ({"a": 1}, {"b": 1}),
        ([], {}),
    ],
)
def test_values_of_other_types_or_contents_differ(value: Any, expected: Any) -> None:
    assert not equal(value, expected)
    assert not equal(expected, value)


@pytest.mark.parametrize("status", ["raised", "timeout", "memory", "output", "killed", "refused", "infrastructure"])
def test_job_that_did_not_return_agrees_with_nothing(status: Any) -> None:
    assert not matches(Outcome("x", status), None)
    assert matches(Outcome("x", "returned"), None)
