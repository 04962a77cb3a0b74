"""Decodes JSON as RFC 8259 defines it, and rejects everything that another reader could read differently."""

from __future__ import annotations

import json
import math
from typing import Any

from pipelines.rows.readers.seed_rows import RowProblem

MAX_DIGITS = 1_000


def describe_json_error(error: json.JSONDecodeError) -> str:
    """Return the decoder's message in a form that fits into the middle of a sentence."""
    message = error.msg.removesuffix(" starting at").removesuffix(" at")
    return message[:1].lower() + message[1:]


class StrictDecoder:
    """Decodes one value at a time. What JSON does not allow inside a well-formed value is replaced by its problem."""

    def __init__(self) -> None:
        self._problems: list[RowProblem] = []
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_constant=self._constant,
            parse_int=self._integer,
            parse_float=self._float,
        )

    def decode(self, text: str, start: int = 0) -> tuple[object, int]:
        """Return the value that starts at `start`, and the position of its end.

        A part that is not valid, for example NaN, is a RowProblem in its place: readers raise it if they use that part.
        `problem` is the first of them.

        Raises:
            json.JSONDecodeError: If the value is not well-formed, so that its end is unknown.
            RecursionError: If the value is nested too deeply.
        """
        self._problems.clear()
        return self._decoder.raw_decode(text, start)

    @property
    def problem(self) -> RowProblem | None:
        """What was wrong inside the last value."""
        return self._problems[0] if self._problems else None

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            seen: set[str] = set()
            for key in [key for key, _ in pairs if key in seen or seen.add(key)]:
                name = ascii(key)[1:-1][:80]
                fields[key] = self._flaw(RowProblem("duplicate-key", "is given twice in one object", name))
        return fields

    def _flaw(self, problem: RowProblem) -> RowProblem:
        self._problems.append(problem)
        return problem

    def _constant(self, word: str) -> RowProblem:
        return self._flaw(RowProblem("not-a-number", f"{word} is not JSON"))

    def _integer(self, digits: str) -> int | RowProblem:
        if len(digits) > MAX_DIGITS:
            return self._flaw(RowProblem("number-too-large", f"a number of {len(digits)} digits"))
        return int(digits)

    def _float(self, digits: str) -> float | RowProblem:
        value = float(digits)
        if math.isinf(value):
            return self._flaw(RowProblem("number-too-large", f"the number {digits[:40]} is beyond a double"))
        return value
