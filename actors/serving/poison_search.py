"""Which request kills its engine: those in flight at a death are tried again alone, and by halves."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)
MAX_CRASHES_ISOLATED = 2  # a single request is not blamed for one death: the process may have been killed from outside


class PoisonSearch(Generic[T]):
    """Groups of requests of which one may be poison. Each is to be run with nothing beside it.

    A group that survives is acquitted; one that does not is halved, down to the single request, which is guilty when
    it has been alone at two deaths. With n requests in flight that takes about log2(n) + 3 deaths.
    """

    def __init__(self) -> None:
        self._batches: deque[list[T]] = deque()
        self._isolated_crashes: dict[T, int] = {}  # deaths of single suspects

    def __bool__(self) -> bool:
        return bool(self._batches)

    def __len__(self) -> int:
        return sum(len(batch) for batch in self._batches)

    def next_batch(self) -> list[T]:
        """The group to try now. IndexError if there is none."""
        return self._batches.popleft()

    def add(self, items: Sequence[T]) -> None:
        """These were in flight together with anything else when their process died."""
        if items:
            self._batches.append(list(items))

    def batch_died(self, batch: Sequence[T]) -> T | None:
        """The process died with just these unanswered; the guilty one is returned, if that is now known."""
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
        """Give up: all suspects, which are then forgotten."""
        suspects = [item for batch in self._batches for item in batch]
        self._batches.clear()
        self._isolated_crashes.clear()
        return suspects
