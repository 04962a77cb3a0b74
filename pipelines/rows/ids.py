"""Ids of rows, and the seeds of requests that are made of them."""

from __future__ import annotations

import hashlib


def row_id(parent_id: str, step_key: str, draw: int = 0) -> str:
    """The id of the row that a step makes of its parent."""
    return hashlib.sha256(f"{parent_id}\0{step_key}\0{draw}".encode()).hexdigest()[:32]


def request_seed(row: str) -> int:
    """A sampling seed that belongs to the row and not to its place in a batch: 31 bits of its id."""
    return int(row[:8], 16) & 0x7FFFFFFF
