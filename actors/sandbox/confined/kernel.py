"""Linux system calls for which Python 3.11 has no functions."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, PR_GET_SECCOMP = 1, 4, 38, 22, 21
NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
NAMESPACES = {"mount": NEWNS, "uts": NEWUTS, "ipc": NEWIPC, "user": NEWUSER, "pid": NEWPID, "net": NEWNET}
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
_NUMBERS = {
    "x86_64": {"clone": 56, "capset": 126, "pivot_root": 155},
    "aarch64": {"clone": 220, "capset": 91, "pivot_root": 41},
}
_CAPABILITIES_VERSION = 0x20080522
_libc = ctypes.PyDLL(None, use_errno=True)  # PyDLL holds the GIL, which `clone` must not release


def call(name: str, *arguments: Any) -> int:
    """Call a function of the C library. Raises OSError with the function's name if it fails."""
    return _check_result(name, getattr(_libc, name)(*arguments))


def syscall(name: str | int, *arguments: Any) -> int:
    """Make a system call that the C library does not wrap, by name or by number. Raises OSError if it fails."""
    number = name if isinstance(name, int) else _NUMBERS[platform.machine()][name]
    return _check_result(f"system call {name}", _libc.syscall(number, *arguments))


def _check_result(name: str, result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result


def prctl(option: int, first: Any = 0, second: Any = 0) -> int:
    """Call prctl(2): set or get a property of this process."""
    return call("prctl", option, first, second, 0, 0)


def clone(flags: int) -> int:
    """Fork into new namespaces. Returns 0 in the child. The process must have a single thread."""
    python = ctypes.pythonapi
    python.PyOS_BeforeFork()
    try:
        pid = syscall("clone", flags | signal.SIGCHLD, 0, 0, 0, 0)
    except OSError:
        python.PyOS_AfterFork_Parent()
        raise
    if pid == 0:
        python.PyOS_AfterFork_Child()
    else:
        python.PyOS_AfterFork_Parent()
    return pid


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Call mount(2)."""
    call("mount", source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode())


def change_root(new: str, old: str) -> None:
    """Make the mount `new` the root, and move the old root to `old`, which must be below `new`."""
    syscall("pivot_root", new.encode(), old.encode())
    os.chdir("/")


def detach(target: str) -> None:
    """Unmount a tree of mounts."""
    call("umount2", target.encode(), MNT_DETACH)


def map_user(inside: int, outside: tuple[int, int]) -> None:
    """Map user and group `inside` of a new user namespace to `outside` (user id, group id) of the parent namespace."""
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{inside} {outside[0]} 1"),
        ("gid_map", f"{inside} {outside[1]} 1"),
    ):
        fd = os.open(f"/proc/self/{name}", os.O_WRONLY)
        os.write(fd, text.encode())
        os.close(fd)


def drop_capabilities() -> None:
    """Drop all capabilities, and prevent this process from gaining new privileges."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION, 0)
    syscall("capset", header, (ctypes.c_uint32 * 6)())


def namespace_ids() -> dict[str, int]:
    """Return the ids of this process's namespaces by name."""
    names = {"mount": "mnt"}
    return {name: Path(f"/proc/self/ns/{names.get(name, name)}").stat().st_ino for name in NAMESPACES}
