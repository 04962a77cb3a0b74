"""Atomic file writes: readers see a whole file or none, and exactly one of several writers can create a file."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from cluster.fault_points import hit

TEMPORARY_SUFFIX = ".tmp"
GLOB_CHARACTERS = "*?["


def write(fs: Any, path: str, data: bytes) -> None:
    """Write a file, and replace an existing one.

    On a local disk, the data is written under a temporary name, flushed to the disk, and renamed. A write to an object
    store is always atomic.
    """
    if not isinstance(fs, LocalFileSystem):
        fs.pipe_file(path, data)
        return
    temporary = _write_temporary(Path(path), data)
    hit("file.aside", path)
    temporary.replace(path)
    flush_folder(Path(path).parent)


def list_files(fs: Any, pattern: str) -> list[str]:
    """Return the paths that match a pattern; none if an object store has listed files that were deleted meanwhile."""
    try:
        return fs.glob(pattern)
    except FileNotFoundError:
        return []


def list_in_folders(fs: Any, root: str, depth: int, *patterns: str) -> list[str]:
    """Return the paths that match any of these names or patterns in the folders `depth` levels below `root`.

    This is many times faster than a pattern over folders. On a local disk, names are only looked up. An object store
    lists all names below `root` at once: it answers with a thousand names as fast as with one.
    """
    if not isinstance(fs, LocalFileSystem):
        return _in_one_listing(fs, root, depth, patterns)
    folders = [root]
    for _ in range(depth):
        folders = [entry.path for folder in folders for entry in _entries(folder) if entry.is_dir()]
    return [path for folder in folders for path in _matching(folder, patterns)]


def _in_one_listing(fs: Any, root: str, depth: int, patterns: Sequence[str]) -> list[str]:
    found = dict[str, None]()
    for path in _find(fs, root):
        parts = path[len(root) :].strip("/").split("/")[: depth + 1]
        if len(parts) > depth and any(fnmatchcase(parts[depth], one) for one in patterns):
            found["/".join([root, *parts])] = None
    return [*found]


def _find(fs: Any, root: str) -> list[str]:
    try:
        return fs.find(root)
    except FileNotFoundError:
        return []


def _matching(folder: str, patterns: Sequence[str]) -> list[str]:
    if not any(set(GLOB_CHARACTERS) & set(name) for name in patterns):
        return [path for name in patterns if os.access(path := f"{folder}/{name}", os.F_OK)]
    return [entry.path for entry in _entries(folder) if any(fnmatchcase(entry.name, one) for one in patterns)]


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [*entries]
    except (FileNotFoundError, NotADirectoryError):
        return []


def create_exclusive(fs: Any, path: str, data: bytes) -> bool:
    """Create a file unless it exists, and return whether this call has created it.

    Of several writers at the same time, exactly one gets True. (On S3, this is a conditional write.)
    """
    if isinstance(fs, LocalFileSystem):
        return _create_local(Path(path), data)
    try:
        fs.pipe_file(path, data, mode="create")
    except OSError as error:
        if isinstance(error, FileExistsError) or "PreconditionFailed" in str(error) or "pre-condition" in str(error):
            return False
        raise
    return True


def remove_temporary(fs: Any, path: str) -> None:
    """Remove the temporary files that killed writers of this file have left beside it."""
    for temporary in list_files(fs, f"{path}.*{TEMPORARY_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):
            fs.rm(temporary)


def _create_local(path: Path, data: bytes) -> bool:
    temporary = _write_temporary(path, data)
    try:
        path.hardlink_to(temporary)
    except (FileExistsError, FileNotFoundError):  # another writer was first, or removed our temporary file as stale
        return False
    finally:
        temporary.unlink(missing_ok=True)
    flush_folder(path.parent)
    return True


def _write_temporary(path: Path, data: bytes) -> Path:
    """Write the data to a new file beside `path`, flush it to the disk, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}{TEMPORARY_SUFFIX}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        temporary.unlink(missing_ok=True)  # the disk may be full
        raise
    return temporary


def flush_folder(folder: Path) -> None:
    """Make a rename durable by flushing the entries of its folder to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
