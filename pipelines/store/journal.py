"""What engines have answered for steps that are not finished: kept answer by answer, so that nothing is asked twice.

On a local disk an answer is appended to its unit's file before anybody sees it: a process that is killed loses only
what it was still waiting for; a machine that loses its power, the last seconds. An object can not be appended to:
there, answers of a few seconds are an object of their own. An answer belongs to exactly its request, so it does not
matter who wrote it, or how often. The file goes when the unit's rows are durable, or, if another run has begun since,
with the step's commit: that run may be about to read it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import posixpath
import uuid
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from actors.engine import Classification, Generation, Request, RequestError, TokenLogprobs
from cluster.fault_points import hit
from pipelines.store import atomic_files as files
from pipelines.store.epochs import is_newest
from pipelines.store.store import Store

JournalEntry = Generation | TokenLogprobs | Classification | RequestError
_FIELDS: dict[type[Any], tuple[str, ...]] = {
    Generation: tuple(Generation.__dataclass_fields__),
    TokenLogprobs: tuple(TokenLogprobs.__dataclass_fields__),
    Classification: tuple(Classification.__dataclass_fields__),
    RequestError: ("reason", "detail"),
}
_TYPES = {kind.__name__: kind for kind in _FIELDS}
JOURNAL_SUFFIX = ".answers"


class Journal:
    """The answers to one step's requests on behalf of one unit. `flush` may be called from another thread."""

    def __init__(self, store: Store, kind: str, key: str, partition: int, paths: Sequence[str]) -> None:
        """`paths` are what earlier runs have left."""
        self.store, self.paths = store, [*paths]
        self._name = posixpath.join(store.folder(kind, key), "parts", f"{partition:08d}-")
        self._answers = {digest: answer for path in paths for digest, answer in _read_entries(store, path)}
        self._local = isinstance(store.fs, LocalFileSystem)
        self._handle: int | None = None
        self._unwritten: list[bytes] = []  # not yet written to the object store
        self._dirty = False
        self._lock = Lock()

    def lookup(self, request: Request) -> JournalEntry | None:
        """The answer that there was, if there was one."""
        return self._answers.get(request.digest()) if self._answers else None

    def append(self, request: Request, answer: JournalEntry) -> None:
        """Make an answer outlive this process (on an object store: once it is flushed)."""
        line = _encode_entry(request, answer)
        with self._lock:
            if not self._local:
                self._unwritten.append(line)
            elif os.write(self._open_file(), line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.paths[-1])
            self._dirty = True
        hit("answer.kept", request)

    def flush(self) -> None:
        """Make what was kept outlive this machine."""
        with self._lock:
            dirty, self._dirty = self._dirty, False
            lines = [*self._unwritten]
        if dirty and self._handle is not None:
            os.fsync(self._handle)
        elif lines:
            self.store.write_bytes(self._new_path(), b"".join(lines))
            with self._lock:
                del self._unwritten[: len(lines)]

    def close(self) -> None:
        """Flush, and keep what is there for the next run."""
        self.flush()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def delete(self) -> None:
        """Remove it: the rows that were made of the answers are durable. A run that was taken over leaves it."""
        self.close()
        for path in self.paths if is_newest(self.store) else ():
            with contextlib.suppress(FileNotFoundError):
                self.store.fs.rm(path)

    def _open_file(self) -> int:
        if self._handle is None:
            path = Path(self._new_path())
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            files.flush_folder(path.parent)
        return self._handle

    def _new_path(self) -> str:
        self.paths.append(f"{self._name}{uuid.uuid4().hex[:12]}{JOURNAL_SUFFIX}")
        return self.paths[-1]


def find_journals(store: Store, kind: str, key: str) -> dict[int, list[str]]:
    """Paths of an unfinished step's journals, by unit."""
    found: dict[int, list[str]] = {}
    for path in store.partition_files(kind, key, f"*{JOURNAL_SUFFIX}"):
        found.setdefault(int(posixpath.basename(path)[:8]), []).append(path)
    return found


def _encode_entry(request: Request, answer: JournalEntry) -> bytes:
    """One line of a journal: a checksum, for lines that were torn, and the answer as JSON."""
    kind = type(answer)
    record = [request.digest(), kind.__name__, [getattr(answer, name) for name in _FIELDS[kind]]]
    text = json.dumps(record, separators=(",", ":")).encode()
    return b"%08x%b\n" % (zlib.crc32(text), text)


def _read_entries(store: Store, path: str) -> Iterator[tuple[str, JournalEntry]]:
    """The answers in a file, without lines that were torn or spoilt; none if it is gone: a zombie was through."""
    try:
        data = store.read_bytes(path)
    except FileNotFoundError:
        return
    for line in data.splitlines():
        if line[:8] == b"%08x" % zlib.crc32(line[8:]):
            digest, kind, values = json.loads(line[8:])
            yield digest, _TYPES[kind](*(tuple(value) if isinstance(value, list) else value for value in values))
