"""Measures a run's wall time and its peak memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime

import psutil

from pipelines.store.studies.run_record import RunRecord

MEMORY_SAMPLE_SECONDS = 1.0


class ResourceMeter:
    """Wall time and peak memory of a run. Memory is that of this process and its descendants, a local Ray included."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.peak_bytes = 0
        self.stopped = threading.Event()

    def sample(self) -> None:
        """Sample the memory of the process tree until stopped."""
        while not self.stopped.wait(MEMORY_SAMPLE_SECONDS):
            self.peak_bytes = max(self.peak_bytes, _tree_memory())

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


@contextmanager
def metered() -> Generator[ResourceMeter]:
    """Measure the block."""
    meter = ResourceMeter()
    thread = threading.Thread(target=meter.sample, daemon=True)
    thread.start()
    try:
        yield meter
    finally:
        meter.stopped.set()


def _tree_memory() -> int:
    """Return the proportional set size of the process tree in bytes, in which shared pages count once."""
    total = 0
    me = psutil.Process()
    for process in (me, *me.children(recursive=True)):
        try:
            total += process.memory_full_info().pss
        except (psutil.Error, AttributeError):
            continue
    return total
