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
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from cluster.fault_points import hit
from cluster.filesystems import file_system, move_folder
from pipelines.errors import InputError
from pipelines.store import atomic_files as files
from pipelines.store.errors import CorruptStore, LeaseLost
from pipelines.store.manifest import Manifest, Shard

MANIFEST = "manifest.json"
EXTRAS_BY_PROTOCOL = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}  # of our own, by protocols
STAGING_SUFFIX = ".partial"
GLOB_CHARACTERS = "*?["
STALE_PATTERNS = ("parts", f"*{files.TEMPORARY_SUFFIX}", f".*{STAGING_SUFFIX}")
REBUILD_HINT = "delete its folder, and run its study again"
T = TypeVar("T")


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

    def finished_keys(self) -> frozenset[str]:
        """Keys of all finished steps, with one listing."""
        paths = files.list_files(self.fs, posixpath.join(self.root, "steps", "*", "*", MANIFEST))
        return frozenset(posixpath.basename(posixpath.dirname(path)) for path in paths)

    def keys(self, kind: str) -> tuple[str, ...]:
        """Keys of all finished steps of one kind."""
        paths = files.list_files(self.fs, posixpath.join(self.root, "steps", kind, "*", MANIFEST))
        return tuple(sorted(posixpath.basename(posixpath.dirname(path)) for path in paths))

    def manifest(self, kind: str, key: str) -> Manifest:
        """The manifest of a finished step. Raises FileNotFoundError if it is not finished, Spoilt if it is damaged."""
        path = posixpath.join(self.folder(kind, key), MANIFEST)
        return self.read_json(path, Manifest.model_validate_json, REBUILD_HINT)

    def commit(self, manifest: Manifest) -> None:
        """Make a step exist. Its shards must have been written; what is left of its parts is removed.

        Raises LeaseLost if another run has made it exist: one that halts behind the fence changes no manifest.
        """
        self.fence()
        folder = self.folder(manifest.kind, manifest.key)
        path = posixpath.join(folder, MANIFEST)
        text = json.dumps(manifest.model_dump(mode="json"), indent=1, sort_keys=True)
        hit("commit.before_manifest", folder)
        if not files.create_exclusive(self.fs, path, text.encode()) and self.read_bytes(path) != text.encode():
            raise LeaseLost(f"{manifest.kind}/{manifest.key} was finished by another run: this one ends")
        hit("commit.after_manifest", folder)
        self.remove(self.stale_files(f"{manifest.kind}/{manifest.key}"))
        hit("commit.after_parts", folder)

    def stale_files(self, step: str = "*/*") -> list[str]:
        """What steps (KIND/KEY, or a pattern) have beside their results: parts, checkpoints, killed writers' files."""
        return [
            path
            for name in STALE_PATTERNS
            for path in files.list_files(self.fs, posixpath.join(self.root, "steps", step, name))
        ]

    def remove(self, paths: Iterable[str]) -> None:
        """Remove leftovers. Where a zombie writes, something may stay: it is for the next run."""
        for path in paths:
            with contextlib.suppress(OSError):
                self.fs.rm(path, recursive=True)

    def invalidate(self, kind: str, key: str) -> None:
        """Make a step not exist any more: its files are to be written again."""
        self.fence()
        with contextlib.suppress(FileNotFoundError):  # the driver before has done it
            self.fs.rm(posixpath.join(self.folder(kind, key), MANIFEST))
        _cached_manifest.cache_clear()

    def write_table(self, folder: str, name: str, table: pa.Table) -> Shard:
        """Write one Parquet file atomically; the same table gives the same bytes."""
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
        data = buffer.getvalue()
        self.write_bytes(posixpath.join(folder, name), data)
        return Shard(file=name, rows=table.num_rows, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())

    def read_table(self, path: str, columns: list[str] | None = None) -> pa.Table:
        """Read one Parquet file, or some columns of it. Raises Spoilt if it is damaged."""
        with self.fs.open(path, "rb") as file:
            try:
                return pq.read_table(file, columns=columns, page_checksum_verification=True)
            except (pa.ArrowException, OSError) as error:
                if isinstance(error, OSError) and (error.errno or type(error) is not OSError):
                    raise  # the store's, not Arrow's
                raise CorruptStore(f"{path} is damaged ({error}): {REBUILD_HINT}") from None

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

    def read_json(self, path: str, parse: Callable[[bytes], T], remedy: str) -> T:
        """What `parse` makes of a file. Raises FileNotFoundError, and Spoilt with the remedy if it is damaged."""
        data = self.read_bytes(path)
        try:
            return parse(data)
        except ValueError:  # JSON's, and pydantic's
            raise CorruptStore(f"{path} is damaged: {remedy}") from None

    def partition_files(self, kind: str, key: str, pattern: str) -> list[str]:
        """Paths of an unfinished step's parts, sorted by name. `pattern` is a glob of file names."""
        return sorted(files.list_files(self.fs, posixpath.join(self.folder(kind, key), "parts", pattern)))

    def staging_path(self, kind: str, key: str, name: str) -> str:
        """A folder for what a run makes of an unfinished step before it counts: a path or URL that workers write to.

        It belongs to this run. What an earlier one has left under this name is moved there: who still writes to the
        old place is not looked at. On an object store that is a copy, which may miss what is just being written.
        """
        self.fence()
        folder = self.folder(kind, key)
        mine = f".{name}.{self.epoch:06d}{STAGING_SUFFIX}"
        leftover = max(files.list_files(self.fs, posixpath.join(folder, f".{name}.*{STAGING_SUFFIX}")), default="")
        self.fs.makedirs(folder, exist_ok=True)
        if leftover and posixpath.basename(leftover) != mine:
            with contextlib.suppress(FileNotFoundError):
                move_folder(self.fs, leftover, posixpath.join(folder, mine))
        return self.address(kind, key, mine)

    def promote(self, kind: str, key: str, name: str, source: str) -> None:
        """Put a folder that was made aside into its place in an unfinished step. Raises LeaseLost if it is not ours."""
        self.fence()
        target = posixpath.join(self.folder(kind, key), name)
        if self.fs.exists(target):  # a run was killed before its commit
            self.fs.rm(target, recursive=True)
        move_folder(self.fs, source, target)

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
        return tuple(self._hash_file(path, posixpath.relpath(path, folder)) for path in paths)

    def _hash_file(self, path: str, relative: str) -> Shard:
        data = self.read_bytes(path)
        return Shard(file=relative, rows=0, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def _file_system(url: str) -> tuple[Any, str]:
    """The file system of a store's URL, and the path on it. InputError if there is none."""
    protocol = url.partition("://")[0]
    try:
        fs, root = file_system(url)
    except ImportError as error:
        remedy = (
            f"Here and on every node: pip install 'evolgrid[{EXTRAS_BY_PROTOCOL[protocol]}]'"
            if protocol in EXTRAS_BY_PROTOCOL
            else None
        )
        raise InputError(f"the store {url} needs a package that is not installed: {error}", remedy=remedy) from error
    except ValueError as error:
        remedy = "Give a folder, s3://BUCKET/FOLDER or gs://BUCKET/FOLDER."
        raise InputError(f"the store {url} can not be used: {error}", remedy=remedy) from error
    if set(GLOB_CHARACTERS) & set(root):  # which fsspec and DuckDB take for patterns, in one call or another
        raise InputError(f"the store {root} has one of {GLOB_CHARACTERS} in its path", remedy="Give another --store.")
    return fs, root


@lru_cache(maxsize=4096)
def _cached_manifest(url: str, kind: str, key: str) -> Manifest:
    return Store(url).manifest(kind, key)


CHECKPOINT_FOLDER = "model"
