"""A log of a study's finished steps with their row counts: what `status` reads while a driver runs.

It spares the listing of all steps' folders and the reading of all manifests, which are the truth. The driver, the only
writer, adds to it in `studies/NAME/finished/`; a driver that is killed may leave it a few seconds behind, and the next
one completes it.
"""

from __future__ import annotations

import contextlib
import json
import posixpath
import threading
import time
from collections.abc import Collection, Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from pipelines.garbage import collection_paused
from pipelines.store import atomic_files as files
from pipelines.store.errors import LeaseLost
from pipelines.store.lease import is_dead, read_lease
from pipelines.store.manifest import Account, Manifest
from pipelines.store.store import Store
from pipelines.store.studies.run_record import study_folder

FLUSH_SECONDS = 2.0
MAX_FILES = 64  # then they are merged into one
READ_ATTEMPTS = 5  # files may be merged while they are read


class FinishedStep(NamedTuple):
    """A finished step: its row counts, and the seconds that it took."""

    account: Account
    seconds: float


class FinishedLog:
    """Collects finished steps, and writes them to files of the store at most every two seconds."""

    def __init__(self, store: Store, study: str, known: Mapping[str, FinishedStep]) -> None:
        self._store, self._folder = store, _folder(store, study)
        self._lock = threading.Lock()
        self._all, self._new = {key: _to_json(step) for key, step in known.items()}, dict[str, Any]()
        self._files, self._flushed = 0, 0.0
        self._timer: threading.Timer | None = None

    def finished(self, manifest: Manifest) -> None:
        """Note a step that was committed."""
        self._note(manifest.key, _to_json(FinishedStep(manifest.account, manifest.seconds)))

    def invalidated(self, key: str) -> None:
        """Note a step that is no longer finished."""
        self._note(key, None)

    def close(self) -> None:
        """Write what is not written yet."""
        with self._lock:
            if self._timer:
                self._timer.cancel()
            self._flush()

    def merge(self) -> None:
        """Write everything as one file in place of all others."""
        with self._lock:
            self._merge()

    def _note(self, key: str, value: Any) -> None:
        with self._lock:
            self._all[key] = self._new[key] = value
            if self._timer is None:
                wait = max(0.0, self._flushed + FLUSH_SECONDS - time.monotonic())
                self._timer = threading.Timer(wait, self._on_timer)
                self._timer.daemon = True
                self._timer.start()

    def _on_timer(self) -> None:
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        self._timer, self._flushed = None, time.monotonic()
        if self._files >= MAX_FILES:
            self._merge()
        elif self._new:
            self._write(self._new)
            self._new = {}

    def _merge(self) -> None:
        self._all = {key: value for key, value in self._all.items() if value is not None}
        older = _paths(self._store, self._folder)
        if self._write(self._all):
            self._store.remove(older)
            self._files, self._new = 1, {}

    def _write(self, steps: Mapping[str, Any]) -> bool:
        """Write a file; return False if another driver has taken over the study, which writes its own."""
        with contextlib.suppress(LeaseLost):
            self._store.fence()
            self._files += 1
            name = f"{self._store.epoch:06d}-{time.time_ns():020d}.json"
            self._store.write_bytes(posixpath.join(self._folder, name), json.dumps(steps).encode())
            return True
        return False


@contextmanager
def logging_finished(store: Store, study: str, done: Collection[str], kinds: Mapping[str, str]) -> Generator[None]:
    """Keep the log of a study up to date in the block, in which this process is its driver.

    `done` are the keys of its finished steps, `kinds` the kinds of all its steps by key.
    """
    log = FinishedLog(store, study, finished_steps(store, study, {key: kinds[key] for key in done}))
    log.merge()
    store.on_commit, store.on_invalidate = log.finished, log.invalidated
    try:
        yield
    finally:
        store.on_commit, store.on_invalidate = None, None
        log.close()


def finished_steps(
    store: Store, study: str, kinds: Mapping[str, str], logged: Mapping[str, FinishedStep] | None = None
) -> dict[str, FinishedStep]:
    """Return the counts of finished steps (key to kind): from the log, and those that it lacks from their manifests.

    `logged` is what the log says, if it has been read.
    """
    if logged is None:
        logged = read_log(store, study) or {}
    return {key: logged.get(key) or _of_manifest(store.manifest(kind, key)) for key, kind in kinds.items()}


def finished_while_running(store: Store, study: str) -> frozenset[str] | None:
    """Return the finished steps that a live driver of the study has logged; None if none runs: ask the store then."""
    lease = read_lease(store, study)
    if lease is None or is_dead(lease) or (logged := _read_values(store, study)) is None:
        return None
    return frozenset(logged)


@collection_paused()
def read_log(store: Store, study: str) -> dict[str, FinishedStep] | None:
    """Return the finished steps of a study by key, as its driver has logged them; None if none has run yet."""
    values = _read_values(store, study)
    return None if values is None else {key: _from_json(value) for key, value in values.items()}


def _read_values(store: Store, study: str) -> dict[str, Any] | None:
    """Return what the log says of finished steps, by key; None if no driver has run yet."""
    for _ in range(READ_ATTEMPTS):
        with contextlib.suppress(FileNotFoundError):
            return _read(store, _paths(store, _folder(store, study)))
    return None


def _read(store: Store, paths: Iterable[str]) -> dict[str, Any] | None:
    """Return what files say, later ones first of all; None without files."""
    found: dict[str, Any] = {}
    read = [store.read_json(path, json.loads, "delete it; the next run writes a new one") for path in sorted(paths)]
    for part in read:
        found |= part
    return {key: value for key, value in found.items() if value is not None} if read else None


def _of_manifest(manifest: Manifest) -> FinishedStep:
    return FinishedStep(manifest.account, manifest.seconds)


def _to_json(step: FinishedStep) -> Any:
    account = step.account
    return [account.rows_in, account.rows_out, account.rejected, account.failed, account.reasons, step.seconds]


def _from_json(value: Any) -> FinishedStep:
    rows_in, rows_out, rejected, failed, reasons, seconds = value
    account = Account.model_construct(
        rows_in=rows_in, rows_out=rows_out, rejected=rejected, failed=failed, reasons=reasons
    )
    return FinishedStep(account, seconds)


def _folder(store: Store, study: str) -> str:
    return posixpath.join(study_folder(store, study), "finished")


def _paths(store: Store, folder: str) -> list[str]:
    return files.list_files(store.fs, posixpath.join(folder, "*.json"))
