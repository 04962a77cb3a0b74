"""Equality of plain values by type and value, for verdicts that are computed outside the sandbox."""

from __future__ import annotations

from typing import Any

from actors.sandbox.protocol.job import Outcome, Plain


def equal(value: Plain, expected: Plain) -> bool:
    """Return whether both values and all nested types are the same: True is not 1, 1 is not 1.0, NaN equals nothing."""
    pairs: list[tuple[Any, Any]] = [(value, expected)]
    while pairs:
        left, right = pairs.pop()
        if type(left) is not type(right):
            return False
        if isinstance(left, list):
            if len(left) != len(right):
                return False
            pairs += zip(left, right, strict=True)
        elif isinstance(left, dict):
            if left.keys() != right.keys():
                return False
            pairs += ((item, right[key]) for key, item in left.items())
        elif left != right:
            return False
    return True


def matches(outcome: Outcome, expected: Plain) -> bool:
    """Return whether the job returned exactly `expected`. Outcomes with other statuses than "returned" never match."""
    return outcome.status == "returned" and equal(outcome.value, expected)
