"""Finds seeds whose text an earlier seed of their set has."""

from __future__ import annotations

from array import array
from hashlib import blake2b

import numpy as np

from pipelines.rows.readers import SeedRow

COUNTED_BYTES = 8  # of a digest that is only counted
COMPARED_BYTES = 12  # of a digest by which rows are rejected: equal ones of different texts do not occur


class RepeatCounter:
    """Counts repeated seeds, with 8 bytes for each seed."""

    def __init__(self) -> None:
        self._digests = array("Q")

    def add(self, row: SeedRow) -> None:
        """Take note of a seed."""
        self._digests.append(_digest(row, COUNTED_BYTES))

    @property
    def count(self) -> int:
        """The number of seeds whose text an earlier one has."""
        return len(self._digests) - len(np.unique(np.frombuffer(self._digests, dtype=np.uint64)))


class RepeatFilter:
    """Recognises repeated seeds, with about 100 bytes for each distinct seed."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def is_repeat(self, row: SeedRow) -> bool:
        """Return whether an earlier seed has the same text; take note of the seed."""
        before = len(self._seen)
        self._seen.add(_digest(row, COMPARED_BYTES))
        return len(self._seen) == before


def conversation_text(row: SeedRow) -> str:
    """Return a seed's conversation, without its answer, as one text. Different conversations have different texts."""
    return "\0".join((row.system, *row.history, row.instruction, row.input))


def _digest(row: SeedRow, size: int) -> int:
    """Return a digest of a seed's conversation, without its answer."""
    return int.from_bytes(blake2b(conversation_text(row).encode(), digest_size=size).digest())
