"""The limit that an endpoint turns out to have: found by additive increase and multiplicative decrease.

A server that answers 429 (or 503 with Retry-After) has a limit that it does not announce. Until the first such answer
nothing is limited but the number of requests in flight. Then both the rate and the number in flight are reduced, at
most once for all requests that were in flight together, and grow again with every answer. All models behind one address
with one key share a limit, within a process.
"""

from __future__ import annotations

import asyncio
import email.utils
import math
import time
import weakref
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

DECREASE = 0.7
INCREASE_PER_SECOND = 0.05  # of the rate at which the server was overloaded: it is tried again after some seconds
MIN_RATE = 0.05  # requests per second
RATE_WINDOW = 2.0  # the last seconds, in which the rate at an overload is measured
MAX_PAUSE = 120.0


@dataclass(slots=True)
class Sent:
    """One request in flight. `note` tells the limit how it was answered."""

    limit: SelfLimit
    started: float

    def note(self, status: int, retry_after: str) -> None:
        """Adapt the limit to an answer. Answers that say nothing about the load change nothing."""
        if status == 429 or (status in (503, 529) and retry_after):
            self.limit.overloaded(self.started, retry_after_seconds(retry_after))
        elif 200 <= status < 300:
            self.limit.answered()


class SelfLimit:
    """Bounds the requests in flight and, once the server has asked for it, their rate. For one event loop.

    `rate` is in requests per second, None as long as there is no limit. `in_flight` is the present bound, infinite as
    long as there is none. `refusals` is how many times the limit was reduced since the last answer.
    """

    def __init__(self) -> None:
        self.rate: float | None = None
        self.in_flight = math.inf
        self.refusals = 0
        self._open = 0
        self._ceiling = 0.0  # the rate at the last overload
        self._next_start = self._resume = self._reduced = 0.0  # times of the loop
        self._answers: deque[float] = deque()
        self._turn = asyncio.Lock()
        self._released = asyncio.Event()

    @asynccontextmanager
    async def slot(self) -> AsyncGenerator[Sent]:
        """Wait until another request may be sent; it is in flight within the block."""
        async with self._turn:  # one at a time, so that a new limit holds for all that wait
            await self._wait_for_room()
            self._open += 1
        try:
            yield Sent(self, _now())
        finally:
            self._open -= 1
            self._released.set()

    def answered(self) -> None:
        """Record a successful answer: both limits grow a little."""
        now = _now()
        self._answers.append(now)
        self.refusals = 0
        self._forget_answers(now)
        self.in_flight += 1 / self.in_flight
        if self.rate is not None:
            # more answers than were known when the server asked for fewer requests: it allows at least as many
            self._ceiling = max(self._ceiling, self._answer_rate(now))
            increased = self.rate + INCREASE_PER_SECOND * self._ceiling / max(self.rate, MIN_RATE)
            self.rate = max(increased, DECREASE * self._ceiling)

    def overloaded(self, started: float, pause: float) -> None:
        """Record that the server asked for fewer requests, in its answer to one that was sent at the time `started`.

        `pause` is the number of seconds for which it asked, 0 if it did not say.
        """
        now = _now()
        self._resume = max(self._resume, now + min(pause, MAX_PAUSE))
        if started < self._reduced:
            return  # sent before the last reduction
        self._reduced = now
        self.refusals += 1
        measured = self._answer_rate(now)
        self._ceiling = measured if self.rate is None else min(measured, self.rate)
        self.rate = max(MIN_RATE, DECREASE * self._ceiling)
        self.in_flight = max(1.0, DECREASE * min(self.in_flight, self._open))

    def _answer_rate(self, now: float) -> float:
        """Return the rate of the last answers; at least one in the window is assumed."""
        self._forget_answers(now)
        count, first = max(1, len(self._answers)), self._answers[0] if self._answers else now - RATE_WINDOW
        return count / max(1.0, now - first)

    def _forget_answers(self, now: float) -> None:
        while self._answers and self._answers[0] < now - RATE_WINDOW:
            self._answers.popleft()

    async def _wait_for_room(self) -> None:
        """Wait until fewer requests than allowed are in flight, a pause is over, and the rate allows another."""
        while self._open + 1 > max(1.0, self.in_flight):
            self._released.clear()
            await self._released.wait()
        while (wait := max(self._resume, self._next_start) - _now()) > 0:
            await asyncio.sleep(wait)
        if self.rate is not None:
            self._next_start = _now() + 1 / self.rate


def shared_limit(address: str, key_location: str) -> SelfLimit:
    """Return the limit that all models behind an address with one key share in the running event loop."""
    return _limits.setdefault(asyncio.get_running_loop(), {}).setdefault((address, key_location), SelfLimit())


def retry_after_seconds(retry_after: str) -> float:
    """Return the seconds that a Retry-After header asks to wait: a number or a date; 0 if it is neither."""
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        date = email.utils.parsedate_tz(retry_after)
        return max(0.0, email.utils.mktime_tz(date) - time.time()) if date else 0.0


_limits: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, str], SelfLimit]] = (
    weakref.WeakKeyDictionary()
)


def _now() -> float:
    return asyncio.get_running_loop().time()
