"""The store of steps' outputs: Parquet shards and, written last, a manifest, in a folder or at any fsspec URL."""

from __future__ import annotations

import contextlib
import hashlib
import json
import posixpath
from collections.abc import Callable, Iterable, Iterator
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
EXTRAS_BY_PROTOCOL = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}  # the package's extras, by protocol
STAGING_SUFFIX = ".partial"
STALE_PATTERNS = ("parts", f"*{files.TEMPORARY_SUFFIX}", f".*{STAGING_SUFFIX}")
REBUILD_HINT = "delete its folder, and run its study again"
T = TypeVar("T")


class Store:
    """A tree `steps/KIND/KEY/` on any file system. A step exists once its manifest does.

    `epoch` is the number of the run that writes. It is pickled with the store, so workers have it, too.

    Raises:
        InputError: If the URL cannot be used.
    """

    def __init__(self, url: str, epoch: int = 0) -> None:
        fs, root = _file_system(url)
        self.fs: Any = fs
        self.root: str = root
        self.url: str = fs.unstrip_protocol(root)  # absolute: workers have another current folder
        self.fence: Callable[[], None] = lambda: None  # called before results are written: raises if we must not write
        self.epoch = epoch
        self.on_commit: Callable[[Manifest], None] | None = None
        self.on_invalidate: Callable[[str], None] | None = None

    def __reduce__(self) -> tuple[type[Store], tuple[str, int]]:
        return Store, (self.url, self.epoch)

    def folder(self, kind: str, key: str) -> str:
        """Return the folder of a step, as a path on the store's file system."""
        return posixpath.join(self.root, "steps", kind, key)

    def finished_keys(self) -> frozenset[str]:
        """Return the keys of all finished steps, with one listing."""
        paths = files.list_in_folders(self.fs, posixpath.join(self.root, "steps"), 2, MANIFEST)
        return frozenset(posixpath.basename(posixpath.dirname(path)) for path in paths)

    def keys(self, kind: str) -> tuple[str, ...]:
        """Return the keys of all finished steps of one kind, sorted."""
        paths = files.list_files(self.fs, posixpath.join(self.root, "steps", kind, "*", MANIFEST))
        return tuple(sorted(posixpath.basename(posixpath.dirname(path)) for path in paths))

    def manifest(self, kind: str, key: str) -> Manifest:
        """Return the manifest of a finished step.

        Raises:
            FileNotFoundError: If the step is not finished.
            CorruptStore: If the manifest is damaged.
        """
        path = posixpath.join(self.folder(kind, key), MANIFEST)
        return self.read_json(path, Manifest.model_validate_json, REBUILD_HINT)

    def commit(self, manifest: Manifest) -> None:
        """Make a step exist by writing its manifest, and delete its partitions' outputs.

        The shards must have been written before. The manifest never replaces one of another run, which may have taken
        over while this one hung between the fence and the write.

        Raises:
            LeaseLost: If another run has finished the step.
        """
        self.fence()
        folder = self.folder(manifest.kind, manifest.key)
        path = posixpath.join(folder, MANIFEST)
        text = json.dumps(manifest.model_dump(mode="json"), indent=1, sort_keys=True)
        hit("commit.before_manifest", folder)
        if not files.create_exclusive(self.fs, path, text.encode()) and self.read_bytes(path) != text.encode():
            raise LeaseLost(f"{manifest.kind}/{manifest.key} was finished by another run: this one stops")
        if self.on_commit:
            self.on_commit(manifest)
        hit("commit.after_manifest", folder)
        self.remove(self.stale_files(f"{manifest.kind}/{manifest.key}"))
        hit("commit.after_parts", folder)

    def stale_files(self, step: str = "") -> list[str]:
        """Return the paths of what a step (KIND/KEY; by default, every step) has beside its results.

        These are partitions' outputs, checkpoints, and temporary files of killed writers.
        """
        folder, depth = posixpath.join(self.root, "steps", step), 0 if step else 2
        return files.list_in_folders(self.fs, folder.rstrip("/"), depth, *STALE_PATTERNS)

    def remove(self, paths: Iterable[str]) -> None:
        """Delete leftovers. If a fenced-off run still writes there, some may stay; the next run deletes them."""
        for path in paths:
            with contextlib.suppress(OSError):
                self.fs.rm(path, recursive=True)

    def invalidate(self, kind: str, key: str) -> None:
        """Invalidate a finished step by deleting its manifest; its files will be rewritten."""
        self.fence()
        with contextlib.suppress(FileNotFoundError):  # an earlier driver has deleted it
            self.fs.rm(posixpath.join(self.folder(kind, key), MANIFEST))
        _cached_manifest.cache_clear()
        if self.on_invalidate:
            self.on_invalidate(key)

    def write_table(self, folder: str, name: str, table: pa.Table) -> Shard:
        """Write one Parquet file atomically. The same table gives the same bytes."""
        buffer = pa.BufferOutputStream()
        pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
        data = buffer.getvalue().to_pybytes()
        self.write_bytes(posixpath.join(folder, name), data)
        return Shard(file=name, rows=table.num_rows, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())

    def read_table(self, path: str, columns: list[str] | None = None) -> pa.Table:
        """Read one Parquet file, or some columns of it.

        Raises:
            CorruptStore: If the file is damaged.
        """
        with self.fs.open(path, "rb") as file:
            try:
                return pq.read_table(file, columns=columns, page_checksum_verification=True)
            except (pa.ArrowException, OSError) as error:
                if isinstance(error, OSError) and (error.errno or type(error) is not OSError):
                    raise  # an error of the file system, not of Arrow
                raise CorruptStore(f"{path} is damaged ({error}): {REBUILD_HINT}") from None

    def rows(self, kind: str, key: str, prefix: str = "rows", columns: list[str] | None = None) -> pa.Table:
        """Return all rows of a finished step (`prefix` "rows") or all its rejections ("rejected")."""
        return pa.concat_tables(self.tables(kind, key, prefix, columns))

    def tables(self, kind: str, key: str, prefix: str = "rows", columns: list[str] | None = None) -> Iterator[pa.Table]:
        """Yield what `rows` returns, one table per shard: of at most 8,192 seeds."""
        folder = self.folder(kind, key)
        for shard in _cached_manifest(self.url, kind, key).shards:
            if shard.file.startswith(prefix):
                yield self.read_table(posixpath.join(folder, shard.file), columns)

    def write_bytes(self, path: str, data: bytes) -> None:
        """Write a file atomically: readers see all of it or nothing."""
        files.write(self.fs, path, data)

    def read_bytes(self, path: str) -> bytes:
        """Return a file's content.

        Raises:
            FileNotFoundError: If there is no such file.
        """
        return self.fs.cat_file(path)  # in one request: a file could be replaced between two

    def read_json(self, path: str, parse: Callable[[bytes], T], remedy: str) -> T:
        """Return the result of `parse` for a file's content.

        Raises:
            FileNotFoundError: If there is no such file.
            CorruptStore: If `parse` raises ValueError. The message ends with `remedy`.
        """
        data = self.read_bytes(path)
        try:
            return parse(data)
        except ValueError:  # JSON's, and pydantic's
            raise CorruptStore(f"{path} is damaged: {remedy}") from None

    def partition_files(self, kind: str, key: str, pattern: str) -> list[str]:
        """Return the paths of an unfinished step's partition files that match a glob of file names, sorted."""
        return sorted(files.list_files(self.fs, posixpath.join(self.folder(kind, key), "parts", pattern)))

    def staging_path(self, kind: str, key: str, name: str) -> str:
        """Return a folder for output of an unfinished step that is not complete yet: a path or URL for workers.

        The folder belongs to this run. If an earlier run has left one with this name, its content is moved here, and
        later writes of that run to its old folder are ignored. On an object store, the move is a copy, which may miss
        files that are being written.
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
        """Move a staging folder to its final place in an unfinished step.

        Raises:
            LeaseLost: If another driver has taken over the study.
        """
        self.fence()
        target = posixpath.join(self.folder(kind, key), name)
        if self.fs.exists(target):  # left by a run that was killed before its commit
            self.fs.rm(target, recursive=True)
        move_folder(self.fs, source, target)

    def address(self, kind: str, key: str, name: str) -> str:
        """Return the address of a step's folder for workers: its path, or its URL if the store is remote."""
        path = posixpath.join(self.folder(kind, key), name)
        return path if isinstance(self.fs, LocalFileSystem) else self.fs.unstrip_protocol(path)

    def fetch(self, kind: str, key: str, name: str, target: Path) -> None:
        """Copy the files in a folder of a step to a local one. Other files in it stay."""
        source = posixpath.join(self.folder(kind, key), name)
        self.fs.get(f"{source}/", f"{target}/", recursive=True)

    def fetch_file(self, kind: str, key: str, name: str, target: Path) -> None:
        """Copy one file of a step to a local path, whose folder exists."""
        self.fs.get_file(posixpath.join(self.folder(kind, key), name), str(target))

    def files(self, kind: str, key: str, name: str) -> tuple[Shard, ...]:
        """Return the files in a folder of a step, sorted by path, with their hashes."""
        folder = self.folder(kind, key)
        paths: list[str] = sorted(self.fs.find(posixpath.join(folder, name)))
        return tuple(self._hash_file(path, posixpath.relpath(path, folder)) for path in paths)

    def _hash_file(self, path: str, relative: str) -> Shard:
        data = self.read_bytes(path)
        return Shard(file=relative, rows=0, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def _file_system(url: str) -> tuple[Any, str]:
    """Return the file system of a store's URL, and the path on it.

    Raises:
        InputError: If the URL cannot be used.
    """
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
        raise InputError(f"the store {url} cannot be used: {error}", remedy=remedy) from error
    if set(files.GLOB_CHARACTERS) & set(root):  # some calls of fsspec and DuckDB read them as patterns
        raise InputError(
            f"the store {root} has one of {files.GLOB_CHARACTERS} in its path", remedy="Give another --store."
        )
    return fs, root


@lru_cache(maxsize=4096)
def _cached_manifest(url: str, kind: str, key: str) -> Manifest:
    return Store(url).manifest(kind, key)


CHECKPOINT_FOLDER = "model"
