"""Formats counts with their nouns, for messages and tables."""

from __future__ import annotations


def plural(count: int, noun: str) -> str:
    """Format a count with its noun: `1 row`, `1,200 rows`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
