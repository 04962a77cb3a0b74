"""Which request kills its engine: those in flight at a death are tried again alone, and by halves."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)
DEATHS_ALONE = 2  # a single request is not blamed for one death: the process may have been killed from outside


class Suspects(Generic[T]):
    """Groups of requests of which one may be poison. Each is to be run with nothing beside it.

    A group that survives is acquitted; one that does not is halved, down to the single request, which is guilty when
    it has been alone at two deaths. With n requests in flight that takes about log2(n) + 3 deaths.
    """

    def __init__(self) -> None:
        self._groups: deque[list[T]] = deque()
        self._alone: dict[T, int] = {}  # deaths of single suspects

    def __bool__(self) -> bool:
        return bool(self._groups)

    def __len__(self) -> int:
        return sum(len(group) for group in self._groups)

    def next(self) -> list[T]:
        """The group to try now. IndexError if there is none."""
        return self._groups.popleft()

    def suspect(self, items: Sequence[T]) -> None:
        """These were in flight together with anything else when their process died."""
        if items:
            self._groups.append(list(items))

    def died(self, group: Sequence[T]) -> T | None:
        """The process died with just these unanswered; the guilty one is returned, if that is now known."""
        if not group:
            return None
        if len(group) > 1:
            half = len(group) // 2
            self._groups.extendleft([list(group[half:]), list(group[:half])])
            return None
        only = group[0]
        deaths = self._alone.pop(only, 0) + 1
        if deaths >= DEATHS_ALONE:
            return only
        self._alone[only] = deaths
        self._groups.appendleft([only])
        return None

    def clear(self) -> list[T]:
        """Give up: all suspects, which are then forgotten."""
        everyone = [item for group in self._groups for item in group]
        self._groups.clear()
        self._alone.clear()
        return everyone
