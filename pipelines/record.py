"""What a study's last run planned and took, kept beside its report: `studies/NAME/record.json` in the store."""

from __future__ import annotations

import posixpath
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime

import psutil
from pydantic import BaseModel

from pipelines.store.store import Store

SAMPLE_SECONDS = 1.0


class Record(BaseModel):
    """Times in seconds. `planned` is by step key; `ran` names the steps of the last run that ran any."""

    created: str
    wall_seconds: float
    planned_wall: float = 0.0
    peak_memory_gib: float | None
    planned: dict[str, float]
    ran: list[str]


def study_folder(store: Store, study: str) -> str:
    """Where a study's report and record lie, on the store's file system."""
    return posixpath.join(store.root, "studies", study)


def load_record(store: Store, study: str) -> Record | None:
    """The record of a study, if it ever ran in this store. Raises Spoilt."""
    path = posixpath.join(study_folder(store, study), "record.json")
    try:
        return store.parsed(path, Record.model_validate_json, "delete it, the next run writes another")
    except FileNotFoundError:
        return None


def save_record(store: Store, study: str, record: Record) -> None:
    """Keep the record, in place of the one before."""
    data = record.model_dump_json(indent=1).encode()
    store.write_bytes(posixpath.join(study_folder(store, study), "record.json"), data)


class Meter:
    """Wall time and peak memory of a run: resident memory of this process and all below it, a local Ray included."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.peak_bytes = 0
        self.stopped = threading.Event()

    def sample(self) -> None:
        """Look at the process tree until stopped."""
        while not self.stopped.wait(SAMPLE_SECONDS):
            self.peak_bytes = max(self.peak_bytes, _tree_memory())

    def record(self, planned: dict[str, float], ran: list[str], planned_wall: float = 0.0) -> Record:
        """What was measured so far."""
        return Record(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            wall_seconds=round(time.monotonic() - self.started, 1),
            planned_wall=round(planned_wall, 1),
            peak_memory_gib=round(self.peak_bytes / 2**30, 2) if self.peak_bytes else None,
            planned=planned,
            ran=ran,
        )


@contextmanager
def metered() -> Generator[Meter]:
    """Measure what happens inside the block."""
    meter = Meter()
    thread = threading.Thread(target=meter.sample, daemon=True)
    thread.start()
    try:
        yield meter
    finally:
        meter.stopped.set()


def _tree_memory() -> int:
    """Proportional set size of the process tree in bytes: pages shared by processes count once."""
    total = 0
    me = psutil.Process()
    for process in (me, *me.children(recursive=True)):
        try:
            total += process.memory_full_info().pss
        except (psutil.Error, AttributeError):
            continue
    return total
