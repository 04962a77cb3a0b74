"""The file system that a job sees: only the read-only standard library and an empty, private `/tmp`.

The zygote builds the read-only part once, in a private mount namespace that disappears with it. Each job mounts its
`/tmp` in its own namespace and makes the result its root, so that the machine's files are not accessible.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from actors.sandbox.confined.kernel import (
    MS_BIND,
    MS_NODEV,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    change_root,
    detach,
    mount,
)
from actors.sandbox.protocol.job import Limits

_TEMPORARY_ROOT = "/tmp"  # mount point of the new root until it becomes the root; not visible to other processes
_NOEXEC = 8  # the same in mount(2) and statvfs(3)


def libraries() -> dict[str, str]:
    """Return the folders of this interpreter's standard library with their real paths. No folder contains another.

    `sys.path` must still be as Python set it.
    """
    folders = {os.path.normpath(path) for path in sys.path if Path(path).is_dir()}
    inside = {path for path in folders for other in folders - {path} if Path(path).is_relative_to(other)}
    return {path: os.path.realpath(path) for path in sorted(folders - inside)}


def build(folders: dict[str, str]) -> None:
    """Replace the machine's file system by a root with `/runtime` (what jobs see), `/jail` and `/proc`."""
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    mount("none", _TEMPORARY_ROOT, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755")
    for name in ("old", "proc", "jail", "runtime"):
        Path(_TEMPORARY_ROOT, name).mkdir(mode=0o755)
    change_root(_TEMPORARY_ROOT, f"{_TEMPORARY_ROOT}/old")
    mount("/old/proc", "/proc", flags=MS_BIND | MS_REC)
    mount("/runtime", "/runtime", flags=MS_BIND)
    for name in ("tmp", "empty"):
        Path("/runtime", name).mkdir(mode=0o755)
    for folder, place in folders.items():
        _bind_library_folder(folder, f"/old{place}")
    _make_read_only("/runtime")
    detach("/old")


def _bind_library_folder(folder: str, place: str) -> None:
    """Mount one folder of the machine below `/runtime` at its own path, without installed packages."""
    target = Path("/runtime" + folder)
    target.mkdir(mode=0o755, parents=True)
    mount(place, str(target), flags=MS_BIND)
    _make_read_only(str(target))
    for packages in ("site-packages", "dist-packages"):
        if (target / packages).is_dir():
            mount("/runtime/empty", str(target / packages), flags=MS_BIND)


def _make_read_only(target: str) -> None:
    kept = os.statvfs(target).f_flag & _NOEXEC
    mount("none", target, flags=MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | kept)


def enter(limits: Limits) -> None:
    """Make the jail the root of this process, which must be the only one in a new mount namespace."""
    mount("/runtime", "/jail", flags=MS_BIND | MS_REC)
    mount_options = f"size={limits.file_bytes},nr_inodes={limits.files},mode=700"
    mount("none", "/jail/tmp", "tmpfs", MS_NOSUID | MS_NODEV, mount_options)
    change_root("/jail", "/jail/tmp")
    detach("/tmp")  # the old root is mounted on the job's folder
    os.chdir("/tmp")
