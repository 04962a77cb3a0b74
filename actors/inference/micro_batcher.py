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
LINGER = 0.005  # seconds without a new arrival after which a batch starts: callers rarely arrive all at once


@dataclass(frozen=True, slots=True)
class Job:
    """One waiting call. Jobs of the same `run` and `group` may share a batch; those of like `size` do first."""

    run: Callable[[Sequence[Any]], Sequence[Any]]
    item: Any
    group: Hashable
    size: int
    done: Future[Any] = field(default_factory=lambda: Future())


class MicroBatcher:
    """One worker thread that runs batches of at most `max_rows` rows and `max_size` = rows x their largest size.

    A batch on which its run raises MemoryError is done again in halves, and later batches are made smaller.
    """

    def __init__(self, max_rows: int, max_size: int) -> None:
        self._max_rows, self._max_size = max_rows, max_size
        self._arrivals: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._waiting: list[Job] = []
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="micro-batches", daemon=True)
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
        job = Job(run, item, group, size)
        self._arrivals.put(job)
        return await asyncio.wrap_future(job.done)

    def close(self) -> None:
        """Stop after the batch at work; calls that still wait raise RuntimeError."""
        if not self._closed:
            self._closed = True
            self._arrivals.put(None)
            self._thread.join()

    def _work(self) -> None:
        while self._gather():
            batch = take_batch(self._waiting, self._max_rows, self._max_size)
            running = [job for job in batch if job.done.set_running_or_notify_cancel()]
            if running:
                self._finish(running)
        for job in self._waiting:
            if job.done.set_running_or_notify_cancel():
                job.done.set_exception(RuntimeError("the engine was closed"))

    def _finish(self, batch: Sequence[Job]) -> None:
        results, error = _attempt(batch)
        if isinstance(error, MemoryError) and len(batch) > 1:
            self._max_size = min(self._max_size, len(batch) * max(job.size for job in batch) // 2)
            middle = len(batch) // 2
            self._finish(batch[:middle])
            self._finish(batch[middle:])
        elif error:
            for job in batch:
                job.done.set_exception(error)
        else:
            for job, result in zip(batch, results, strict=True):
                job.done.set_result(result)

    def _gather(self) -> bool:
        """Collect what has arrived, waiting for the first job if there is none. False once closed."""
        while True:
            full = len(self._waiting) >= self._max_rows
            timeout = (0.0 if full else LINGER) if self._waiting else None
            try:
                job = self._arrivals.get(timeout=timeout)
            except queue.Empty:
                return True
            if job is None:
                return False
            self._waiting.append(job)


def take_batch(waiting: list[Job], max_rows: int, max_size: int) -> list[Job]:
    """Remove one batch from `waiting` (not empty): the oldest job and those of its group that are closest in size.

    A single job larger than `max_size` makes a batch of its own.
    """
    oldest = waiting[0]
    peers = [job for job in waiting if (job.run, job.group) == (oldest.run, oldest.group)]
    batch: list[Job] = []
    for job in sorted(peers, key=lambda job: abs(job.size - oldest.size))[:max_rows]:
        largest = max([job.size, *(other.size for other in batch)])
        if batch and largest * (len(batch) + 1) > max_size:
            break
        batch.append(job)
    taken = set(map(id, batch))
    waiting[:] = [job for job in waiting if id(job) not in taken]
    return batch


def _attempt(batch: Sequence[Job]) -> tuple[Sequence[Any], Exception | None]:
    """What the batch's run gives or raises: the thread outlives a failed batch, and its callers get the failure."""
    try:
        return batch[0].run([job.item for job in batch]), None
    except MemoryError as error:
        return [], error if len(batch) > 1 else RequestError("out_of_memory", str(error))
    except Exception as error:
        return [], error
