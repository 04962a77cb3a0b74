"""Two queues: one that serves its askers in turns, and one that is emptied in one go."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Hashable, Iterable, Iterator
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


class Turns(Generic[T]):
    """Items under two names: first the askers take turns, then each asker's own lanes."""

    def __init__(self) -> None:
        self._askers: OrderedDict[Hashable, OrderedDict[Hashable, deque[T]]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, asker: Hashable, lane: Hashable, item: T) -> None:
        """Add an item at the end of a lane."""
        lanes = self._askers.setdefault(asker, OrderedDict())
        lanes.setdefault(lane, deque()).append(item)
        self._count += 1

    def take(self, count: int) -> list[T]:
        """At most `count` items, from everybody in turn."""
        return [self._next() for _ in range(min(count, self._count))]

    def drop(self, asker: Hashable) -> None:
        """Forget what an asker has waiting."""
        self._count -= sum(len(lane) for lane in self._askers.pop(asker, OrderedDict()).values())

    def __iter__(self) -> Iterator[T]:
        return (item for lanes in self._askers.values() for lane in lanes.values() for item in lane)

    def _next(self) -> T:
        asker, lanes = self._askers.popitem(last=False)
        lane, items = lanes.popitem(last=False)
        item = items.popleft()
        if items:
            lanes[lane] = items
        if lanes:
            self._askers[asker] = lanes
        self._count -= 1
        return item
