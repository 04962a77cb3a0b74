"""Measures what a process and its children have done so far: CPU time, and bytes read and written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

MIN_CPU_SHARE = 0.01  # of one core: an actor that waits uses less
MIN_BYTES_PER_SECOND = 2**16


@dataclass(frozen=True, slots=True)
class Activity:
    """CPU seconds of a process and its living children, and the bytes that they have read and written."""

    cpu_seconds: float
    transferred: int

    def is_work(self, since: Activity, seconds: float) -> bool:
        """Return whether the process has worked, and not only waited, in the `seconds` since an earlier measurement."""
        cpu, transferred = self.cpu_seconds - since.cpu_seconds, self.transferred - since.transferred
        return abs(cpu) > MIN_CPU_SHARE * seconds or abs(transferred) > MIN_BYTES_PER_SECOND * seconds


def process_activity() -> Activity:
    """Return the activity of this process so far. That of a child counts while the child is running."""
    cpu, transferred = 0.0, 0
    me = psutil.Process()
    for process in (me, *me.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            times, counters = process.cpu_times(), process.io_counters()
            cpu += times.user + times.system
            transferred += counters.read_chars + counters.write_chars
    return Activity(cpu, transferred)


def busiest_child_seconds() -> float:
    """Return the CPU seconds of the busiest thread of this process's children."""
    return max(_thread_seconds(), default=0.0)


def _thread_seconds() -> Iterator[float]:
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            yield from (thread.user_time + thread.system_time for thread in process.threads())
