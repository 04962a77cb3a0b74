"""How failed rows are shown, and what to do about them."""

from __future__ import annotations


def failed_rows_hint(failed: int) -> str:
    """Return how many rows have failed, and how to ask for them again."""
    rows = "1 row has failed" if failed == 1 else f"{failed:,} rows have failed"
    return f"{rows} (not rejected): 'evolgrid run --retry-failed' asks for them again"
