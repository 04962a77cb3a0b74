"""One driver per study: a lease in the store, taken over when its holder is gone, and checked before each commit."""

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

from pipelines.store import atomic_files as files
from pipelines.store.errors import Held, LeaseLost
from pipelines.store.store import Store

BEAT_SECONDS = 5.0
LOST_SECONDS = 20.0  # without a beat: by the watcher's own clock, which no change of the time of day touches


class Claim(BaseModel):
    """Who drives a study. `token` is new with each holder, `steps` are what it runs."""

    study: str
    token: str
    host: str
    boot: str
    space: str = ""
    pid: int
    since: str
    steps: list[str] = []

    @property
    def who(self) -> str:
        """For people."""
        return f"process {self.pid} on {self.host}, since {self.since}"


@dataclass
class Lease:
    """A held lease. `check` is asked before every commit; a thread renews it."""

    store: Store
    claim: Claim
    lost: threading.Event = field(default_factory=threading.Event)
    beats: int = 0

    def check(self) -> None:
        """Raise LeaseLost unless the lease is still ours, by what the store says now."""
        found = read(self.store, self.claim.study)
        if self.lost.is_set() or found is None or found.token != self.claim.token:
            self.lost.set()
            raise LeaseLost(
                f"study {self.claim.study} was taken over"
                + (f" by {found.who}" if found else "")
                + ": this run ends, and what it finished before is kept"
            )

    def renew(self, ended: threading.Event) -> None:
        """Give signs of life until the end, or until the lease is lost."""
        while not ended.wait(BEAT_SECONDS):
            try:
                self.beat()
            except LeaseLost:
                return
            except Exception:  # the store is away for a moment, whatever it says; a check that matters will tell
                continue

    def beat(self) -> None:
        """One sign of life, in a file of our own: if it comes late, the successor's claim stays. Raises LeaseLost."""
        self.check()
        self.beats += 1
        self.store.write_bytes(_beats_path(self.store, self.claim), str(self.beats).encode())


@contextmanager
def held(store: Store, study: str, steps: Iterable[str], tell: Callable[[str], None]) -> Generator[Lease]:
    """Hold the lease of a study within the block; `steps` are the keys of what it will run.

    Raises Held if another driver lives that holds it, or that runs one of these steps for another study. A holder that
    is gone is waited for LOST_SECONDS (`tell` says so), unless it was a process of this machine.
    """
    lease = Lease(store, _acquired(store, _mine(study, steps), tell))
    try:
        _refuse_shared_steps(store, lease.claim)
        ended = threading.Event()
        thread = threading.Thread(target=lease.renew, args=(ended,), name="lease", daemon=True)
        thread.start()
        try:
            yield lease
        finally:
            ended.set()
            thread.join()
    finally:
        found = read(store, study)
        if found and found.token == lease.claim.token:
            store.fs.rm(_path(store, study))
        _forget(store, lease.claim)


def read(store: Store, study: str) -> Claim | None:
    """Who holds the lease of a study, alive or not."""
    try:
        return Claim.model_validate_json(store.read_bytes(_path(store, study)))
    except (FileNotFoundError, ValidationError):
        return None


def claims(store: Store) -> list[Claim]:
    """All leases in a store, their holders alive or not."""
    paths = files.listed(store.fs, posixpath.join(store.root, "studies", "*", "lease.json"))
    found = (read(store, posixpath.basename(posixpath.dirname(path))) for path in paths)
    return [claim for claim in found if claim]


def is_gone(claim: Claim) -> bool:
    """Whether the holder was a process of this machine that lives no more; False if that can not be known."""
    if claim.host != socket.gethostname():
        return False
    if claim.boot != _boot():
        return True  # the machine has been started again
    if claim.space != _space():
        return False  # in another container of this machine: its numbers of processes are not ours
    try:
        return psutil.Process(claim.pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _acquired(store: Store, mine: Claim, tell: Callable[[str], None]) -> Claim:
    while not files.create(store.fs, _path(store, mine.study), _bytes(mine)):
        holder = read(store, mine.study)
        if holder is None:
            if store.fs.exists(_path(store, mine.study)):
                store.fs.rm(_path(store, mine.study))  # not a lease: a file that something else has spoilt
            continue
        if not is_gone(holder):
            tell(f"study {mine.study} is held by {holder.who}: waiting {LOST_SECONDS:.0f} s for a sign of life")
            _refuse_if_alive(store, holder)
        tell(f"study {mine.study}: taken over from {holder.who}, which is gone")
        _write(store, mine)
        _forget(store, holder)
        time.sleep(0.1)  # of several that take over at once, the last to write holds it
        found = read(store, mine.study)
        if found and found.token == mine.token:
            return mine
    return mine


def _refuse_if_alive(store: Store, holder: Claim) -> None:
    deadline, before = time.monotonic() + LOST_SECONDS, _beats(store, holder)
    while time.monotonic() < deadline:
        time.sleep(BEAT_SECONDS / 5)
        found = read(store, holder.study)
        if found is None:
            return
        if found.token != holder.token or _beats(store, found) != before:
            raise Held(f"study {holder.study} is being run by {found.who}. Wait for it, or stop that process")


def _refuse_shared_steps(store: Store, mine: Claim) -> None:
    for other in claims(store):
        if other.study == mine.study or is_gone(other):
            continue
        if shared := set(mine.steps) & set(other.steps):
            raise Held(
                f"{len(shared)} steps of this study are being run for study {other.study} by {other.who}. "
                "Wait for it, stop that process, or use another store"
            )


def _mine(study: str, steps: Iterable[str]) -> Claim:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return Claim(
        study=study,
        token=uuid.uuid4().hex,
        host=socket.gethostname(),
        boot=_boot(),
        space=_space(),
        pid=os.getpid(),
        since=since,
        steps=sorted(steps),
    )


@cache
def _boot() -> str:
    """What changes when this machine is started again."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


@cache
def _space() -> str:
    """Within which a process's number is its own: containers have one each, also those that share a host's name."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _path(store: Store, study: str) -> str:
    return posixpath.join(store.root, "studies", study, "lease.json")


def _beats_path(store: Store, claim: Claim) -> str:
    return f"{_path(store, claim.study)}.{claim.token}"


def _beats(store: Store, claim: Claim) -> bytes:
    """What a holder has written as a sign of life."""
    try:
        return store.read_bytes(_beats_path(store, claim))
    except FileNotFoundError:
        return b""


def _forget(store: Store, claim: Claim) -> None:
    """Remove a former holder's signs of life, and what killed writers left."""
    with contextlib.suppress(FileNotFoundError):
        store.fs.rm(_beats_path(store, claim))
    files.sweep(store.fs, _path(store, claim.study))


def _write(store: Store, claim: Claim) -> None:
    store.write_bytes(_path(store, claim.study), _bytes(claim))


def _bytes(claim: Claim) -> bytes:
    return claim.model_dump_json(indent=1).encode()
