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
    """Decodes one value at a time. A problem inside a well-formed value is reported once the value's end is known."""

    def __init__(self) -> None:
        self._problems: list[RowProblem] = []
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_constant=self._constant,
            parse_int=self._integer,
            parse_float=self._float,
        )

    def decode(self, text: str, start: int = 0) -> tuple[object, int]:
        """Return the value that starts at `start`, or the RowProblem found in it, and the position of its end.

        Raises:
            json.JSONDecodeError: If the value is not well-formed, so that its end is unknown.
            RecursionError: If the value is nested too deeply.
        """
        self._problems.clear()
        value, end = self._decoder.raw_decode(text, start)
        return (self._problems[0] if self._problems else value), end

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            seen: set[str] = set()
            repeated = next(key for key, _ in pairs if key in seen or seen.add(key))
            self._problems.append(
                RowProblem("duplicate-key", "is given twice in one object", ascii(repeated)[1:-1][:80])
            )
        return fields

    def _constant(self, word: str) -> None:
        self._problems.append(RowProblem("not-a-number", f"{word} is not JSON"))

    def _integer(self, digits: str) -> int:
        if len(digits) > MAX_DIGITS:
            self._problems.append(RowProblem("number-too-large", f"a number of {len(digits)} digits"))
            return 0
        return int(digits)

    def _float(self, digits: str) -> float:
        value = float(digits)
        if math.isinf(value):
            self._problems.append(RowProblem("number-too-large", f"the number {digits[:40]} is beyond a double"))
        return value
