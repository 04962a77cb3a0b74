"""Landlock (Linux 5.13 or newer): a process drops its own rights to files and to the network."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable

from actors.sandbox.confined.kernel import syscall

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446  # the same on all machines
_ASK_VERSION, _PATH_BENEATH = 1, 1
_READ = 1 << 2 | 1 << 3  # files, directories
_WRITE = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 12 | 1 << 13 | 1 << 14  # no devices, sockets or named pipes
_FILES_BY_VERSION = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}


def version() -> int:
    """Return the kernel's Landlock version. Raises OSError if Landlock is missing or disabled."""
    return syscall(_CREATE, None, 0, _ASK_VERSION)


def restrict(readable: Iterable[str], writable: Iterable[str]) -> None:
    """Allow this process only to read below `readable`, and to read and write below `writable`.

    TCP and signals to other processes are forbidden, too, if the kernel's version supports that. Needs `no_new_privs`.
    """
    known = version()
    handled = _FILES_BY_VERSION.get(known, (1 << 16) - 1)
    sizes = 8 if known < 4 else 16 if known < 6 else 24
    attributes = struct.pack("=QQQ", handled, 0b11, 0b11)[:sizes]
    rules = syscall(_CREATE, attributes, sizes, 0)
    for path in readable:
        _allow(rules, path, _READ)
    for path in writable:
        _allow(rules, path, (_READ | _WRITE) & handled)
    syscall(_RESTRICT, rules, 0)
    os.close(rules)


def _allow(rules: int, path: str, rights: int) -> None:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    syscall(_ADD_RULE, rules, _PATH_BENEATH, ctypes.create_string_buffer(struct.pack("=Qi", rights, fd), 12), 0)
    os.close(fd)
