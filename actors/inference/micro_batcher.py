"""Micro-batching: concurrent calls wait in a queue, and a worker thread runs them batch by batch."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from actors.engine import RequestError

Item = TypeVar("Item")
Result = TypeVar("Result")
BATCHING_WINDOW_SECONDS = (
    0.005  # a batch starts after this time without a new call, as concurrent calls arrive a little apart
)
TARGET_SECONDS = 5.0  # of a forward pass
FIRST_PASS_TOKENS = 2048  # before the pace is known
PASS_GROWTH = 4


class Pace:
    """Limits the tokens of a forward pass to what the device has been measured to do in TARGET_SECONDS.

    Passes start small and grow, so a slow device never has a pass that takes minutes.
    """

    def __init__(self) -> None:
        self._largest = 0
        self._tokens_per_second = 0.0

    @property
    def max_tokens(self) -> int:
        """The most tokens, with padding, of the next pass."""
        if not self._largest:
            return FIRST_PASS_TOKENS
        return min(PASS_GROWTH * self._largest, max(1, int(TARGET_SECONDS * self._tokens_per_second)))

    def record(self, tokens: int, seconds: float) -> None:
        """Record a pass. A small pass may be slower per token than a large one, so the rate is that of the last two."""
        rate = tokens / max(seconds, 1e-6)
        self._tokens_per_second = (self._tokens_per_second + rate) / 2 if self._largest else rate
        self._largest = max(self._largest, tokens)


@dataclass(frozen=True, slots=True)
class PendingCall:
    """One waiting call. Calls with the same `run` and `group` can share a batch; those of similar `size` come first.

    `pass_size` is the number of tokens of its largest forward pass, 0 if the `pace` of passes does not limit batches.
    """

    run: Callable[[Sequence[Any]], Sequence[Any]]
    item: Any
    group: Hashable
    size: int
    pass_size: int = 0
    pace: Pace | None = None
    future: Future[Any] = field(default_factory=lambda: Future())


class MicroBatcher:
    """A worker thread that runs batches of at most `max_rows` rows and `max_size` = rows x their largest size.

    A batch is smaller if its largest forward pass would take long on this device. If `run` raises MemoryError for a
    batch, its halves are retried, and later batches are smaller.
    """

    def __init__(self, max_rows: int, max_size: int) -> None:
        self._max_rows, self._max_size = max_rows, max_size
        self._arrivals: queue.SimpleQueue[PendingCall | None] = queue.SimpleQueue()
        self._waiting: list[PendingCall] = []
        self._closed = False
        self._clock_id: int | None = None  # of the thread's CPU time, once it runs
        self._thread = threading.Thread(target=self._run_worker, name="micro-batches", daemon=True)
        self._thread.start()

    async def submit(
        self,
        run: Callable[[Sequence[Item]], Sequence[Result]],
        item: Item,
        group: Hashable,
        size: int,
        pass_size: int = 0,
        pace: Pace | None = None,
    ) -> Result:
        """Return the result of `run` for one item. If `run` raises for the item's batch, raise the same exception.

        Args:
            run: Computes the results of a batch.
            item: One item of a batch.
            group: Only items of one group share a batch.
            size: The tokens that count towards `max_size`.
            pass_size: The tokens of the item in the largest forward pass of its batch.
            pace: Limits that pass. The function `run` records its passes there.

        Raises:
            RequestError: "out_of_memory", if the item alone needs too much memory.
            RuntimeError: If the batcher is closed before the item's turn.
        """
        if self._closed:
            raise RuntimeError("the engine is closed")
        call = PendingCall(run, item, group, size, pass_size, pace)
        self._arrivals.put(call)
        return await asyncio.wrap_future(call.future)

    def cpu_seconds(self) -> float:
        """Return the CPU time that the worker thread has used."""
        return 0.0 if self._clock_id is None or self._closed else time.clock_gettime(self._clock_id)

    def close(self) -> None:
        """Stop after the running batch; calls that still wait raise RuntimeError."""
        if not self._closed:
            self._closed = True
            self._arrivals.put(None)
            self._thread.join()

    def _run_worker(self) -> None:
        self._clock_id = time.pthread_getcpuclockid(threading.get_ident())
        while self._gather():
            batch = take_batch(self._waiting, self._max_rows, self._max_size)
            running = [call for call in batch if call.future.set_running_or_notify_cancel()]
            if running:
                self._run_batch(running)
        for call in self._waiting:
            if call.future.set_running_or_notify_cancel():
                call.future.set_exception(RuntimeError("the engine was closed"))

    def _run_batch(self, batch: Sequence[PendingCall]) -> None:
        results, error = _attempt(batch)
        if isinstance(error, MemoryError) and len(batch) > 1:
            self._max_size = min(self._max_size, len(batch) * max(call.size for call in batch) // 2)
            middle = len(batch) // 2
            self._run_batch(batch[:middle])
            self._run_batch(batch[middle:])
        elif error:
            for call in batch:
                call.future.set_exception(error)
        else:
            for call, result in zip(batch, results, strict=True):
                call.future.set_result(result)

    def _gather(self) -> bool:
        """Collect new calls; wait for the first one if none is waiting. Return False once closed."""
        while True:
            full = len(self._waiting) >= self._max_rows
            timeout = (0.0 if full else BATCHING_WINDOW_SECONDS) if self._waiting else None
            try:
                call = self._arrivals.get(timeout=timeout)
            except queue.Empty:
                return True
            if call is None:
                return False
            self._waiting.append(call)


def take_batch(waiting: list[PendingCall], max_rows: int, max_size: int) -> list[PendingCall]:
    """Remove one batch from `waiting` (not empty): the oldest call and those of its group that are closest in size.

    A single call larger than `max_size` is a batch by itself.
    """
    oldest = waiting[0]
    peers = [call for call in waiting if (call.run, call.group) == (oldest.run, oldest.group)]
    batch: list[PendingCall] = []
    max_pass = oldest.pace.max_tokens if oldest.pace else 0
    for call in sorted(peers, key=lambda call: abs(call.size - oldest.size))[:max_rows]:
        largest = max([call.size, *(other.size for other in batch)])
        if batch and largest * (len(batch) + 1) > max_size:
            break
        widest = max([call.pass_size, *(other.pass_size for other in batch)])
        if batch and max_pass and widest * (len(batch) + 1) > max_pass:
            break
        batch.append(call)
    taken = set(map(id, batch))
    waiting[:] = [call for call in waiting if id(call) not in taken]
    return batch


def _attempt(batch: Sequence[PendingCall]) -> tuple[Sequence[Any], Exception | None]:
    """Return the batch's results or its exception: a failed batch must not stop the thread, only fail its calls."""
    try:
        return batch[0].run([call.item for call in batch]), None
    except MemoryError as error:
        return [], error if len(batch) > 1 else RequestError("out_of_memory", str(error))
    except Exception as error:
        return [], error
