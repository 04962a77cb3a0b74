"""Micro-batching: overlapping calls wait in a queue, and one worker thread runs what is waiting, batch by batch."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from actors.engine import RequestError

Item = TypeVar("Item")
Result = TypeVar("Result")
BATCHING_WINDOW_SECONDS = (
    0.005  # seconds without a new arrival after which a batch starts: callers rarely arrive all at once
)


@dataclass(frozen=True, slots=True)
class PendingCall:
    """One waiting call. Jobs of the same `run` and `group` may share a batch; those of like `size` do first."""

    run: Callable[[Sequence[Any]], Sequence[Any]]
    item: Any
    group: Hashable
    size: int
    future: Future[Any] = field(default_factory=lambda: Future())


class MicroBatcher:
    """One worker thread that runs batches of at most `max_rows` rows and `max_size` = rows x their largest size.

    A batch on which its run raises MemoryError is done again in halves, and later batches are made smaller.
    """

    def __init__(self, max_rows: int, max_size: int) -> None:
        self._max_rows, self._max_size = max_rows, max_size
        self._arrivals: queue.SimpleQueue[PendingCall | None] = queue.SimpleQueue()
        self._waiting: list[PendingCall] = []
        self._closed = False
        self._thread = threading.Thread(target=self._run_worker, name="micro-batches", daemon=True)
        self._thread.start()

    async def submit(
        self, run: Callable[[Sequence[Item]], Sequence[Result]], item: Item, group: Hashable, size: int
    ) -> Result:
        """The result of `run` for one item; an exception of `run` on the item's batch is raised here.

        RequestError("out_of_memory") if the item alone is too much, RuntimeError if the batcher is closed before the
        item's turn.
        """
        if self._closed:
            raise RuntimeError("the engine is closed")
        call = PendingCall(run, item, group, size)
        self._arrivals.put(call)
        return await asyncio.wrap_future(call.future)

    def close(self) -> None:
        """Stop after the batch at work; calls that still wait raise RuntimeError."""
        if not self._closed:
            self._closed = True
            self._arrivals.put(None)
            self._thread.join()

    def _run_worker(self) -> None:
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
        """Collect what has arrived, waiting for the first job if there is none. False once closed."""
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
    """Remove one batch from `waiting` (not empty): the oldest job and those of its group that are closest in size.

    A single job larger than `max_size` makes a batch of its own.
    """
    oldest = waiting[0]
    peers = [call for call in waiting if (call.run, call.group) == (oldest.run, oldest.group)]
    batch: list[PendingCall] = []
    for call in sorted(peers, key=lambda call: abs(call.size - oldest.size))[:max_rows]:
        largest = max([call.size, *(other.size for other in batch)])
        if batch and largest * (len(batch) + 1) > max_size:
            break
        batch.append(call)
    taken = set(map(id, batch))
    waiting[:] = [call for call in waiting if id(call) not in taken]
    return batch


def _attempt(batch: Sequence[PendingCall]) -> tuple[Sequence[Any], Exception | None]:
    """What the batch's run gives or raises: the thread outlives a failed batch, and its callers get the failure."""
    try:
        return batch[0].run([call.item for call in batch]), None
    except MemoryError as error:
        return [], error if len(batch) > 1 else RequestError("out_of_memory", str(error))
    except Exception as error:
        return [], error
