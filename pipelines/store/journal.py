"""The journal of engines' answers for unfinished steps, so that a resumed run repeats no request that was answered.

On a local disk, each answer is appended to its partition's file before it is used. Answers that arrive together are
written together. A killed process loses only the answers that it was still waiting for; a power failure loses those of
the last seconds. Objects cannot be appended to, so on an object store, the answers of a few seconds form an object. An
answer belongs to exactly one request, so it does not matter which run wrote it, or how often. The file is deleted when
the partition's rows are durable. If another run has started since, which may be about to read the file, it is deleted
with the step's commit.
"""

from __future__ import annotations

import asyncio
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
from pipelines.store.store import Store

JournalEntry = Generation | TokenLogprobs | Classification | RequestError
_FIELDS: dict[type[Any], tuple[str, ...]] = {
    Generation: tuple(Generation.__dataclass_fields__),
    TokenLogprobs: tuple(TokenLogprobs.__dataclass_fields__),
    Classification: tuple(Classification.__dataclass_fields__),
    RequestError: ("reason", "detail"),
}
_TYPES = {kind.__name__: kind for kind in _FIELDS}
_to_json = json.JSONEncoder(separators=(",", ":")).encode
JOURNAL_SUFFIX = ".answers"


class Journal:
    """The answers to one step's requests for one partition.

    One event loop at a time appends to it. `flush` may be called from another thread.
    """

    def __init__(self, store: Store, kind: str, key: str, partition: int, paths: Sequence[str]) -> None:
        """Read the answers in `paths`, the files that earlier runs have left."""
        self.store, self.paths = store, [*paths]
        self._name = posixpath.join(store.folder(kind, key), "parts", f"{partition:08d}-")
        self._answers = {digest: answer for path in paths for digest, answer in _read_entries(store, path)}
        self._local = isinstance(store.fs, LocalFileSystem)
        self._handle: int | None = None
        self._added: list[tuple[bytes, asyncio.Future[None]]] = []  # in this iteration of the event loop
        self._unwritten: list[bytes] = []  # not yet written to the object store
        self._dirty = False
        self._created = False  # the file's entry in its folder is not durable yet
        self._lock = Lock()

    def lookup(self, request: Request) -> JournalEntry | None:
        """Return the journal's answer to a request; None if there is none."""
        return self._answers.get(request.digest()) if self._answers else None

    async def append(self, request: Request, answer: JournalEntry) -> None:
        """Add an answer. From then on, it survives a crash of this process (on an object store: once it is flushed).

        Raises:
            OSError: The answer cannot be written.
        """
        line, loop = _encode_entry(request, answer), asyncio.get_running_loop()
        written: asyncio.Future[None] = loop.create_future()
        if not self._added:
            loop.call_soon(self._write_added)
        self._added.append((line, written))
        await written
        hit("answer.kept", request)

    def _write_added(self) -> None:
        """Write the answers of one iteration of the event loop, and resume those who wait for it."""
        added, self._added = self._added, []
        failure: OSError | None = None
        try:
            self._write(b"".join([line for line, _ in added]))
        except OSError as error:
            failure = error
        for _, written in added:
            if written.done():  # cancelled
                continue
            if failure:
                written.set_exception(failure)
            else:
                written.set_result(None)

    def _write(self, lines: bytes) -> None:
        with self._lock:
            if not self._local:
                self._unwritten.append(lines)
            elif os.write(self._open_file(), lines) < len(lines):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.paths[-1])
            self._dirty = True

    def flush(self) -> None:
        """Make the added answers durable: they survive a crash of this machine."""
        with self._lock:
            dirty, self._dirty = self._dirty, False
            created, self._created = self._created, False
            lines = [*self._unwritten]
        if dirty and self._handle is not None:
            os.fsync(self._handle)
            if created:
                files.flush_folder(Path(self.paths[-1]).parent)
        elif lines:
            self.store.write_bytes(self._new_path(), b"".join(lines))
            with self._lock:
                del self._unwritten[: len(lines)]

    def close(self) -> None:
        """Flush and close the file, and keep it for the next run."""
        self.flush()
        self._close_file()

    def delete(self) -> None:
        """Delete the files, also of earlier runs."""
        self._close_file()
        for path in self.paths:
            with contextlib.suppress(FileNotFoundError):
                self.store.fs.rm(path)

    def _close_file(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _open_file(self) -> int:
        if self._handle is None:
            path = Path(self._new_path())
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            self._created = True
        return self._handle

    def _new_path(self) -> str:
        self.paths.append(f"{self._name}{uuid.uuid4().hex[:12]}{JOURNAL_SUFFIX}")
        return self.paths[-1]


def find_journals(store: Store, kind: str, key: str) -> dict[int, list[str]]:
    """Return the paths of an unfinished step's journals, by partition number."""
    found: dict[int, list[str]] = {}
    for path in store.partition_files(kind, key, f"*{JOURNAL_SUFFIX}"):
        found.setdefault(int(posixpath.basename(path)[:8]), []).append(path)
    return found


def _encode_entry(request: Request, answer: JournalEntry) -> bytes:
    """Return one line of a journal: a checksum, which detects torn lines, and the answer as JSON."""
    kind = type(answer)
    record = [request.digest(), kind.__name__, [getattr(answer, name) for name in _FIELDS[kind]]]
    text = _to_json(record).encode()
    return b"%08x%b\n" % (zlib.crc32(text), text)


def _read_entries(store: Store, path: str) -> Iterator[tuple[str, JournalEntry]]:
    """Yield the answers in a file, without torn or corrupt lines; none if a fenced-off run has deleted the file."""
    try:
        data = store.read_bytes(path)
    except FileNotFoundError:
        return
    for line in data.splitlines():
        if line[:8] == b"%08x" % zlib.crc32(line[8:]):
            digest, kind, values = json.loads(line[8:])
            yield digest, _TYPES[kind](*map(_tupled, values))


def _tupled(value: Any) -> Any:
    """Return a value from JSON with tuples in place of lists."""
    return tuple(map(_tupled, value)) if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
