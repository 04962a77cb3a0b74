"""Where steps' outputs live: Parquet shards and a manifest, written last, under a folder or any fsspec URL."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import posixpath
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from actors.urls import file_system
from cluster.points import reached
from pipelines.errors import InputError, LeaseLost
from pipelines.store import files
from pipelines.store.manifest import Manifest, Shard

MANIFEST = "manifest.json"
EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}  # of our own, by protocols
LEFT = ("parts", f"*{files.ASIDE}")


class Store:
    """A tree `steps/KIND/KEY/` on any file system. A step exists once its manifest does.

    `epoch` is the number of the run that writes; workers get it with the store. InputError for a URL that can not be
    used.
    """

    def __init__(self, url: str, epoch: int = 0) -> None:
        fs, root = _file_system(url)
        self.fs: Any = fs
        self.root: str = root
        self.url: str = fs.unstrip_protocol(root)  # absolute: workers have another current folder
        self.fence: Callable[[], None] = lambda: None  # asked before results are written: raises if we may not
        self.epoch = epoch

    def __reduce__(self) -> tuple[type[Store], tuple[str, int]]:
        return Store, (self.url, self.epoch)

    def folder(self, kind: str, key: str) -> str:
        """The folder of a step, as a path on the store's file system."""
        return posixpath.join(self.root, "steps", kind, key)

    def done(self) -> frozenset[str]:
        """Keys of all finished steps, with one listing."""
        paths = files.listed(self.fs, posixpath.join(self.root, "steps", "*", "*", MANIFEST))
        return frozenset(posixpath.basename(posixpath.dirname(path)) for path in paths)

    def keys(self, kind: str) -> tuple[str, ...]:
        """Keys of all finished steps of one kind."""
        paths = files.listed(self.fs, posixpath.join(self.root, "steps", kind, "*", MANIFEST))
        return tuple(sorted(posixpath.basename(posixpath.dirname(path)) for path in paths))

    def manifest(self, kind: str, key: str) -> Manifest:
        """The manifest of a finished step. Raises FileNotFoundError if it is not finished."""
        return Manifest.model_validate_json(self.read_bytes(posixpath.join(self.folder(kind, key), MANIFEST)))

    def commit(self, manifest: Manifest) -> None:
        """Make a step exist. Its shards must have been written; what is left of its parts is removed.

        Raises LeaseLost if another run has made it exist: one that halts behind the fence changes no manifest.
        """
        self.fence()
        folder = self.folder(manifest.kind, manifest.key)
        path = posixpath.join(folder, MANIFEST)
        text = json.dumps(manifest.model_dump(mode="json"), indent=1, sort_keys=True)
        reached("commit.before_manifest", folder)
        if not files.create(self.fs, path, text.encode()) and self.read_bytes(path) != text.encode():
            raise LeaseLost(f"{manifest.kind}/{manifest.key} was finished by another run: this one ends")
        reached("commit.after_manifest", folder)
        self.remove(self.leftovers(f"{manifest.kind}/{manifest.key}"))
        reached("commit.after_parts", folder)

    def leftovers(self, step: str = "*/*") -> list[str]:
        """What steps (KIND/KEY, or a pattern) have beside their results: parts, and files of killed writers."""
        return [path for name in LEFT for path in files.listed(self.fs, posixpath.join(self.root, "steps", step, name))]

    def remove(self, leftovers: Iterable[str]) -> None:
        """Remove leftovers. Where a zombie writes, something may stay: it is for the next run."""
        for path in leftovers:
            with contextlib.suppress(OSError):
                self.fs.rm(path, recursive=True)

    def withdraw(self, kind: str, key: str) -> None:
        """Make a step not exist any more: its files are to be written again."""
        self.fence()
        self.fs.rm(posixpath.join(self.folder(kind, key), MANIFEST))
        _cached_manifest.cache_clear()

    def write_table(self, folder: str, name: str, table: pa.Table) -> Shard:
        """Write one Parquet file atomically; the same table gives the same bytes."""
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        data = buffer.getvalue()
        self.write_bytes(posixpath.join(folder, name), data)
        return Shard(file=name, rows=table.num_rows, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())

    def read_table(self, path: str, columns: list[str] | None = None) -> pa.Table:
        """Read one Parquet file, or some columns of it."""
        with self.fs.open(path, "rb") as file:
            return pq.read_table(file, columns=columns)

    def rows(self, kind: str, key: str, prefix: str = "rows", columns: list[str] | None = None) -> pa.Table:
        """All rows of a finished step (`prefix` "rows") or all that it did not pass on ("rejected")."""
        folder = self.folder(kind, key)
        shards = [s for s in _cached_manifest(self.url, kind, key).shards if s.file.startswith(prefix)]
        return pa.concat_tables(self.read_table(posixpath.join(folder, s.file), columns) for s in shards)

    def write_bytes(self, path: str, data: bytes) -> None:
        """Write a file: readers see all or nothing."""
        files.write(self.fs, path, data)

    def read_bytes(self, path: str) -> bytes:
        """A file's bytes. Raises FileNotFoundError."""
        return self.fs.cat_file(path)  # at once: a file that is opened and then replaced could not be read on

    def parts(self, kind: str, key: str, pattern: str) -> list[str]:
        """Paths of an unfinished step's parts, sorted by name. `pattern` is a glob of file names."""
        return sorted(files.listed(self.fs, posixpath.join(self.folder(kind, key), "parts", pattern)))

    def place(self, kind: str, key: str, name: str) -> str:
        """A free place for a folder (a checkpoint) of an unfinished step: a path or URL that workers can write to."""
        target = posixpath.join(self.folder(kind, key), name)
        if self.fs.exists(target):
            self.fs.rm(target, recursive=True)
        self.fs.makedirs(posixpath.dirname(target), exist_ok=True)
        return self.address(kind, key, name)

    def address(self, kind: str, key: str, name: str) -> str:
        """Where workers find a folder of a step: its path, or its URL if the store is remote."""
        path = posixpath.join(self.folder(kind, key), name)
        return path if isinstance(self.fs, LocalFileSystem) else self.fs.unstrip_protocol(path)

    def fetch(self, kind: str, key: str, name: str, target: Path) -> None:
        """Copy a folder of a step to a local one, beside what is there already."""
        source = posixpath.join(self.folder(kind, key), name)
        self.fs.get(f"{source}/", f"{target}/", recursive=True)

    def files(self, kind: str, key: str, name: str) -> tuple[Shard, ...]:
        """What lies in a folder of a step, hashed."""
        folder = self.folder(kind, key)
        paths: list[str] = sorted(self.fs.find(posixpath.join(folder, name)))
        return tuple(self._file(path, posixpath.relpath(path, folder)) for path in paths)

    def _file(self, path: str, relative: str) -> Shard:
        data = self.read_bytes(path)
        return Shard(file=relative, rows=0, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def _file_system(url: str) -> tuple[Any, str]:
    """The file system of a store's URL, and the path on it. InputError if there is none."""
    protocol = url.partition("://")[0]
    try:
        return file_system(url)
    except ImportError as error:
        remedy = f"Here and on every node: pip install 'evolgrid[{EXTRAS[protocol]}]'" if protocol in EXTRAS else None
        raise InputError(f"the store {url} needs a package that is not installed: {error}", remedy=remedy) from error
    except ValueError as error:
        remedy = "Give a folder, s3://BUCKET/FOLDER or gs://BUCKET/FOLDER."
        raise InputError(f"the store {url} can not be used: {error}", remedy=remedy) from error


@lru_cache(maxsize=4096)
def _cached_manifest(url: str, kind: str, key: str) -> Manifest:
    return Store(url).manifest(kind, key)
