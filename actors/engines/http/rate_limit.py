"""Evenly spaced starts, so that no more than so much begins in a minute."""

from __future__ import annotations

import asyncio
import time


class RateLimiter:
    """Lets `per_minute` units through a minute, without bursts; 0 is no bound."""

    def __init__(self, per_minute: float) -> None:
        self._seconds_per_unit = 60 / per_minute if per_minute else 0.0
        self._next = 0.0  # the clock's time at which the next may start

    async def acquire(self, units: float = 1) -> None:
        """Return when `units` may start."""
        if not self._seconds_per_unit:
            return
        now = time.monotonic()
        start = max(now, self._next)
        self._next = start + units * self._seconds_per_unit
        if start > now:
            await asyncio.sleep(start - now)

    def adjust(self, units: float) -> None:
        """So many units more (or fewer) than announced were used."""
        self._next += units * self._seconds_per_unit
