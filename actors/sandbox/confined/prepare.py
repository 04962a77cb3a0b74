"""Prepares a zygote: imports modules, hides the machine's files, and drops root."""

from __future__ import annotations

import importlib
import os
import signal
from pathlib import Path

from actors.sandbox.confined import jail, seccomp
from actors.sandbox.confined.confine import NOBODY, Confinement
from actors.sandbox.confined.kernel import (
    NAMESPACES,
    NEWUSER,
    PR_SET_DUMPABLE,
    PR_SET_PDEATHSIG,
    call,
    map_user,
    namespace_ids,
    prctl,
)

READY_MODULES = """
    abc argparse array ast base64 binascii bisect bz2 calendar cmath collections contextlib copy csv ctypes dataclasses
    datetime decimal difflib enum fractions functools hashlib heapq html inspect io itertools json lzma math numbers
    operator os pprint queue random re secrets statistics string struct sys textwrap threading time traceback types
    typing unicodedata uuid warnings weakref zlib
""".split()  # modules that solutions use, including those whose shared libraries are missing in the jail


def prepare(layers: frozenset[str]) -> Confinement:
    """Prepare what jobs share and return it. Afterwards this process sees only the jail and is not root."""
    folders = jail.libraries()
    for name in READY_MODULES:
        importlib.import_module(name)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if "mount" in layers:
        enter_namespaces(layers)
        jail.build(folders)
    if "uid" in layers and os.getuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        prctl(PR_SET_DUMPABLE, 1)  # otherwise /proc/self belongs to root and no job can map its user
    if "mount" in layers:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # after the change of user, which clears it
    base_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    return Confinement(
        layers, seccomp.build_filter(), list(folders), base_bytes, namespace_ids(), (os.getuid(), os.getgid())
    )


def enter_namespaces(layers: frozenset[str]) -> None:
    """Continue as the first process of new namespaces. The kernel kills all processes in them when it exits."""
    ids = os.getuid(), os.getgid()
    root = ids[0] == 0
    flags = sum(flag for name, flag in NAMESPACES.items() if name in layers)
    call("unshare", flags & ~NEWUSER if root else flags)
    if not root:
        map_user(ids[0], ids)
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        os._exit(0)
