"""A queue that is emptied in one go: what arrives close together travels together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Outbox(Generic[T]):
    """Items that wait to be fetched. A remote call costs far more than an item: fetching waits `linger` seconds
    after the first item for others that come with it."""

    def __init__(self, linger: float) -> None:
        self._linger = linger
        self._items: list[T] = []
        self._filled = asyncio.Event()

    def put(self, items: Iterable[T]) -> None:
        """Add items, for the next taker."""
        self._items += items
        if self._items:
            self._filled.set()

    async def take(self, timeout: float | None = None) -> list[T]:
        """All items, once there is one; none after `timeout` seconds without."""
        try:
            await asyncio.wait_for(self._filled.wait(), timeout)
        except TimeoutError:
            return []
        await asyncio.sleep(self._linger)
        items, self._items = self._items, []
        self._filled.clear()
        return items
