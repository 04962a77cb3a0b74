"""Writing files so that readers see all or nothing, and exactly one of several writers wins where it matters."""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from cluster.fault_points import hit

TEMPORARY_SUFFIX = ".tmp"


def write(fs: Any, path: str, data: bytes) -> None:
    """Write a file, in place of one that may be there.

    On a local disk: under a temporary name, flushed to the disk, renamed. An object store's write is atomic by itself.
    """
    if not isinstance(fs, LocalFileSystem):
        fs.pipe_file(path, data)
        return
    temporary = _write_temporary(Path(path), data)
    hit("file.aside", path)
    temporary.replace(path)
    flush_folder(Path(path).parent)


def list_files(fs: Any, pattern: str) -> list[str]:
    """Paths of a pattern. A list that an object store gives may name what is gone already: that is nothing."""
    try:
        return fs.glob(pattern)
    except FileNotFoundError:
        return []


def create_exclusive(fs: Any, path: str, data: bytes) -> bool:
    """Write a file unless there is one: of several writers at once, one gets True (on S3 by a conditional write)."""
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
    """Remove what writers of this file that were killed have left beside it."""
    for temporary in list_files(fs, f"{path}.*{TEMPORARY_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):
            fs.rm(temporary)


def _create_local(path: Path, data: bytes) -> bool:
    temporary = _write_temporary(path, data)
    try:
        path.hardlink_to(temporary)
    except (FileExistsError, FileNotFoundError):  # somebody was first, or took our file for a leftover: look again
        return False
    finally:
        temporary.unlink(missing_ok=True)
    flush_folder(path.parent)
    return True


def _write_temporary(path: Path, data: bytes) -> Path:
    """The data in a new file beside `path`, on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}{TEMPORARY_SUFFIX}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        temporary.unlink(missing_ok=True)  # it takes room on a disk that is full
        raise
    return temporary


def flush_folder(folder: Path) -> None:
    """Make a rename durable: it is an entry of its folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
