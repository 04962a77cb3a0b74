"""Rate limiter: spaces request starts evenly, within a per-minute budget."""

from __future__ import annotations

import asyncio
import time


class RateLimiter:
    """Admits up to `per_minute` units per minute, without bursts; 0 means no limit."""

    def __init__(self, per_minute: float) -> None:
        self._seconds_per_unit = 60 / per_minute if per_minute else 0.0
        self._next = 0.0  # monotonic time at which the next request may start

    async def acquire(self, units: float = 1) -> None:
        """Wait until a request of `units` units may start."""
        if not self._seconds_per_unit:
            return
        now = time.monotonic()
        start = max(now, self._next)
        self._next = start + units * self._seconds_per_unit
        if start > now:
            await asyncio.sleep(start - now)

    def adjust(self, units: float) -> None:
        """Correct the budget after a request that used `units` units more (or, if negative, fewer) than acquired."""
        self._next += units * self._seconds_per_unit
