"""Measures a run's wall time and its peak memory."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Generator, Sequence
from datetime import UTC, datetime

import psutil

from pipelines.store.studies.run_record import RunRecord

MEMORY_SAMPLE_SECONDS = 1.0
MIN_GROWTH = 1.02  # of the resident memory, before the proportional one is read again: that takes 10 ms for a process


class ResourceMeter:
    """Wall time and peak memory of a run. Memory is that of this process and its descendants, a local Ray included."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.peak_bytes = 0
        self.stopped = threading.Event()

    def sample(self) -> None:
        """Sample the memory of the process tree until stopped."""
        largest = 0
        while not self.stopped.wait(MEMORY_SAMPLE_SECONDS):
            processes = _process_tree()
            if (resident := _resident_bytes(processes)) > MIN_GROWTH * largest:
                largest = resident
                self.peak_bytes = max(self.peak_bytes, _proportional_bytes(processes))

    def record(self, planned: dict[str, float], ran: list[str], planned_wall: float = 0.0) -> RunRecord:
        """Return the measurements so far. `planned` are seconds by step key; `ran` are the keys of executed steps."""
        return RunRecord(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            wall_seconds=round(time.monotonic() - self.started, 1),
            planned_wall=round(planned_wall, 1),
            peak_memory_gib=round(self.peak_bytes / 2**30, 2) if self.peak_bytes else None,
            planned=planned,
            ran=ran,
        )


@contextlib.contextmanager
def metered() -> Generator[ResourceMeter]:
    """Measure the block."""
    meter = ResourceMeter()
    thread = threading.Thread(target=meter.sample, daemon=True)
    thread.start()
    try:
        yield meter
    finally:
        meter.stopped.set()


def _process_tree() -> list[psutil.Process]:
    me = psutil.Process()
    return [me, *me.children(recursive=True)]


def _resident_bytes(processes: Sequence[psutil.Process]) -> int:
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss
    return total


def _proportional_bytes(processes: Sequence[psutil.Process]) -> int:
    """Return the sum of the proportional set sizes, in which shared pages count once."""
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.Error, AttributeError):
            total += process.memory_full_info().pss
    return total
