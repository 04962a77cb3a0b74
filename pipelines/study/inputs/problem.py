"""What is wrong with a block of a study, found before a run."""

from __future__ import annotations

from typing import NamedTuple


class Problem(NamedTuple):
    """The keys from the block to the wrong value, what is wrong with it, and what to do (None if nothing is known)."""

    field: tuple[str | int, ...]
    message: str
    remedy: str | None = None
