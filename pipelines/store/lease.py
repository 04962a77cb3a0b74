"""One driver per study: a lease in the store, taken over when its heartbeats stop, and checked before each commit."""

from __future__ import annotations

import contextlib
import os
import posixpath
import socket
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import psutil
from pydantic import BaseModel, ValidationError

from cluster.plural import plural
from pipelines.store import atomic_files as files
from pipelines.store.errors import LeaseLost, StudyLocked
from pipelines.store.store import Store

HEARTBEAT_SECONDS = 5.0
LEASE_TIMEOUT = 20.0  # without a heartbeat, by the observer's monotonic clock: changes of system time do not matter


class LeaseRecord(BaseModel):
    """The driver that holds a study's lease. `token` is new for each holder, `steps` are the keys that it runs.

    `boot` identifies the boot of its machine, `space` its PID namespace.
    """

    study: str
    token: str
    host: str
    boot: str
    space: str = ""
    pid: int
    since: str
    steps: list[str] = []

    @property
    def description(self) -> str:
        """The holder, as text for messages."""
        return f"process {self.pid} on {self.host}, since {self.since}"


@dataclass
class Lease:
    """A held lease. A thread renews it. Call `check` before every commit."""

    store: Store
    record: LeaseRecord
    lost: threading.Event = field(default_factory=threading.Event)
    heartbeat_count: int = 0

    def check(self) -> None:
        """Check in the store that this driver still holds the lease.

        Raises:
            LeaseLost: If another driver has taken it over.
        """
        found = read_lease(self.store, self.record.study)
        if self.lost.is_set() or found is None or found.token != self.record.token:
            self.lost.set()
            raise LeaseLost(
                f"study {self.record.study} was taken over"
                + (f" by {found.description}" if found else "")
                + ": this run stops, and the steps that it finished are kept"
            )

    def renew(self, ended: threading.Event) -> None:
        """Write heartbeats until `ended` is set or the lease is lost."""
        while not ended.wait(HEARTBEAT_SECONDS):
            try:
                self.heartbeat()
            except LeaseLost:
                return
            except Exception:  # a temporary failure of the store, of any type: the next commit checks the lease anyway
                continue

    def heartbeat(self) -> None:
        """Write one heartbeat, to a file of this holder: a late write cannot overwrite a successor's lease.

        Raises:
            LeaseLost: If another driver has taken over the lease.
        """
        self.check()
        self.heartbeat_count += 1
        self.store.write_bytes(_heartbeats_path(self.store, self.record), str(self.heartbeat_count).encode())


@contextmanager
def acquire(store: Store, study: str, steps: Iterable[str], notify: Callable[[str], None]) -> Generator[Lease]:
    """Hold the lease of a study within the block.

    If another driver holds it, wait up to `LEASE_TIMEOUT` seconds for a heartbeat, and take over if there is none. A
    holder that was a process on this machine and has exited is replaced at once.

    Args:
        steps: The keys of the steps that this driver will run.
        notify: Receives messages about waiting and taking over.

    Raises:
        StudyLocked: If a live driver holds the lease, or runs one of these steps for another study.
    """
    lease = Lease(store, _take_lease(store, _new_record(study, steps), notify))
    try:
        _refuse_shared_steps(store, lease.record)
        ended = threading.Event()
        thread = threading.Thread(target=lease.renew, args=(ended,), name="lease", daemon=True)
        thread.start()
        try:
            yield lease
        finally:
            ended.set()
            thread.join()
    finally:
        found = read_lease(store, study)
        if found and found.token == lease.record.token:
            store.fs.rm(_path(store, study))
        _remove_heartbeats(store, lease.record)


def read_lease(store: Store, study: str) -> LeaseRecord | None:
    """Return the lease of a study, whether its holder is alive or not; None if there is no valid one."""
    try:
        return LeaseRecord.model_validate_json(store.read_bytes(_path(store, study)))
    except (FileNotFoundError, ValidationError):
        return None


def leases(store: Store) -> list[LeaseRecord]:
    """Return all leases in a store, whether their holders are alive or not."""
    paths = files.list_files(store.fs, posixpath.join(store.root, "studies", "*", "lease.json"))
    found = (read_lease(store, posixpath.basename(posixpath.dirname(path))) for path in paths)
    return [claim for claim in found if claim]


def is_dead(record: LeaseRecord) -> bool:
    """Return whether the holder was a process on this machine that has exited; False if that cannot be determined."""
    if record.host != socket.gethostname():
        return False
    if record.boot != _boot_id():
        return True  # the machine has rebooted
    if record.space != _pid_namespace():
        return False  # in another container on this machine, with other process ids
    try:
        return psutil.Process(record.pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _take_lease(store: Store, mine: LeaseRecord, notify: Callable[[str], None]) -> LeaseRecord:
    while not files.create_exclusive(store.fs, _path(store, mine.study), _to_json(mine)):
        holder = read_lease(store, mine.study)
        if holder is None:
            if store.fs.exists(_path(store, mine.study)):
                store.fs.rm(_path(store, mine.study))  # a corrupt file
            continue
        if not is_dead(holder):
            notify(f"study {mine.study} is held by {holder.description}: waiting {LEASE_TIMEOUT:.0f} s for a heartbeat")
            _refuse_if_alive(store, holder)
        notify(f"study {mine.study}: taken over from {holder.description}, which has stopped")
        _write(store, mine)
        _remove_heartbeats(store, holder)
        time.sleep(0.1)  # of several drivers that take over at once, the last to write holds the lease
        found = read_lease(store, mine.study)
        if found and found.token == mine.token:
            return mine
    return mine


def _refuse_if_alive(store: Store, holder: LeaseRecord) -> None:
    deadline, before = time.monotonic() + LEASE_TIMEOUT, read_heartbeat(store, holder)
    while time.monotonic() < deadline:
        time.sleep(HEARTBEAT_SECONDS / 5)
        found = read_lease(store, holder.study)
        if found is None:
            return
        if found.token != holder.token or read_heartbeat(store, found) != before:
            raise StudyLocked(
                f"study {holder.study} is being run by {found.description}. Wait for it, or stop that process"
            )


def _refuse_shared_steps(store: Store, mine: LeaseRecord) -> None:
    for other in leases(store):
        if other.study == mine.study or is_dead(other):
            continue
        if shared := set(mine.steps) & set(other.steps):
            raise StudyLocked(
                f"{other.description} runs {plural(len(shared), 'step')} of this study, for study {other.study}. "
                "Wait for it, stop that process, or use another store"
            )


def _new_record(study: str, steps: Iterable[str]) -> LeaseRecord:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return LeaseRecord(
        study=study,
        token=uuid.uuid4().hex,
        host=socket.gethostname(),
        boot=_boot_id(),
        space=_pid_namespace(),
        pid=os.getpid(),
        since=since,
        steps=sorted(steps),
    )


@cache
def _boot_id() -> str:
    """Return an id that changes when this machine reboots; empty if the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


@cache
def _pid_namespace() -> str:
    """Return an id of this process's PID namespace: each container has its own, even if they share a host name."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _path(store: Store, study: str) -> str:
    return posixpath.join(store.root, "studies", study, "lease.json")


def _heartbeats_path(store: Store, record: LeaseRecord) -> str:
    return f"{_path(store, record.study)}.{record.token}"


def read_heartbeat(store: Store, record: LeaseRecord) -> bytes:
    """Return the content of a holder's heartbeat file, which changes while it lives; empty if there is none."""
    try:
        return store.read_bytes(_heartbeats_path(store, record))
    except FileNotFoundError:
        return b""


def _remove_heartbeats(store: Store, record: LeaseRecord) -> None:
    """Remove a former holder's heartbeat file, and temporary files of killed writers."""
    with contextlib.suppress(FileNotFoundError):
        store.fs.rm(_heartbeats_path(store, record))
    files.remove_temporary(store.fs, _path(store, record.study))


def _write(store: Store, record: LeaseRecord) -> None:
    store.write_bytes(_path(store, record.study), _to_json(record))


def _to_json(record: LeaseRecord) -> bytes:
    return record.model_dump_json(indent=1).encode()
