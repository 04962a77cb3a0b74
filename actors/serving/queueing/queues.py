"""Two queues: a fair queue that serves clients in round-robin order, and a coalescing queue that is emptied at once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Hashable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class CoalescingQueue(Generic[T]):
    """A queue whose items are taken all at once.

    A remote call costs far more than an item, so `take` waits `window_seconds` after the first item for others.
    """

    def __init__(self, window_seconds: float) -> None:
        self._window_seconds = window_seconds
        self._items: list[T] = []
        self._filled = asyncio.Event()

    def put(self, items: Iterable[T]) -> None:
        """Add items to the queue."""
        self._items += items
        if self._items:
            self._filled.set()

    async def take(self, timeout: float | None = None) -> list[T]:
        """Wait for an item and return all items. Returns an empty list if none arrives within `timeout` seconds."""
        try:
            await asyncio.wait_for(self._filled.wait(), timeout)
        except TimeoutError:
            return []
        await asyncio.sleep(self._window_seconds)
        items, self._items = self._items, []
        self._filled.clear()
        return items


class FairQueue(Generic[T]):
    """A two-level round-robin queue: alternates between clients, and for each client between its queues."""

    def __init__(self) -> None:
        self._clients: OrderedDict[Hashable, OrderedDict[Hashable, deque[T]]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, client: Hashable, queue_name: Hashable, item: T) -> None:
        """Append an item to one queue of a client."""
        queues = self._clients.setdefault(client, OrderedDict())
        queues.setdefault(queue_name, deque()).append(item)
        self._count += 1

    def take(self, count: int) -> list[T]:
        """Remove and return up to `count` items in round-robin order."""
        return [self._pop_next() for _ in range(min(count, self._count))]

    def drop(self, client: Hashable) -> None:
        """Discard all items of a client."""
        self._count -= sum(len(items) for items in self._clients.pop(client, OrderedDict()).values())

    def __iter__(self) -> Iterator[T]:
        return (item for queues in self._clients.values() for items in queues.values() for item in items)

    def _pop_next(self) -> T:
        client, queues = self._clients.popitem(last=False)
        queue_name, items = queues.popitem(last=False)
        item = items.popleft()
        if items:
            queues[queue_name] = items
        if queues:
            self._clients[client] = queues
        self._count -= 1
        return item
