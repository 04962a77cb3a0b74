"""Finds the request that crashes its engine: retries those in flight at a crash in isolation, by bisection."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)
MAX_CRASHES_ISOLATED = 2  # one crash does not prove a request poisonous: the process may have been killed from outside


class PoisonSearch(Generic[T]):
    """Batches of requests of which one may crash the engine. Each batch must run in isolation.

    If the engine answers a batch, its requests are cleared. If the engine crashes, the batch is halved, down to a
    single request. A request is poisonous when it was the only one in flight at two crashes. With n requests in flight
    the search takes about log2(n) + 3 crashes.
    """

    def __init__(self) -> None:
        self._batches: deque[list[T]] = deque()
        self._isolated_crashes: dict[T, int] = {}  # crashes with a single suspect in flight

    def __bool__(self) -> bool:
        return bool(self._batches)

    def __len__(self) -> int:
        return sum(len(batch) for batch in self._batches)

    def next_batch(self) -> list[T]:
        """Remove and return the next batch to try.

        Raises:
            IndexError: No batch is left.
        """
        return self._batches.popleft()

    def add(self, items: Sequence[T]) -> None:
        """Add the requests that were in flight when a process crashed outside of isolation."""
        if items:
            self._batches.append(list(items))

    def batch_died(self, batch: Sequence[T]) -> T | None:
        """Record a crash with exactly these requests unanswered. Return the poisonous one if it is now known."""
        if not batch:
            return None
        if len(batch) > 1:
            half = len(batch) // 2
            self._batches.extendleft([list(batch[half:]), list(batch[:half])])
            return None
        only = batch[0]
        crashes = self._isolated_crashes.pop(only, 0) + 1
        if crashes >= MAX_CRASHES_ISOLATED:
            return only
        self._isolated_crashes[only] = crashes
        self._batches.appendleft([only])
        return None

    def drain(self) -> list[T]:
        """Remove and return all suspects, and reset the crash counts."""
        suspects = [item for batch in self._batches for item in batch]
        self._batches.clear()
        self._isolated_crashes.clear()
        return suspects
