"""Ids of rows, and the sampling seeds that are derived from them."""

from __future__ import annotations

import hashlib


def row_id(parent_id: str, step_key: str, draw: int = 0) -> str:
    """Return the id of the row that a step makes from its parent; `draw` tells apart several rows of one parent."""
    return hashlib.sha256(f"{parent_id}\0{step_key}\0{draw}".encode()).hexdigest()[:32]


def request_seed(row: str) -> int:
    """Return a sampling seed that depends on the row and not on its position in a batch: 31 bits of its id."""
    return int(row[:8], 16) & 0x7FFFFFFF
