"""Confines a job's process: installs all layers of isolation before the process executes any untrusted code."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass

from actors.sandbox.confined import jail, landlock, seccomp
from actors.sandbox.confined.kernel import NAMESPACES, call, drop_capabilities, map_user, namespace_ids
from actors.sandbox.protocol.job import Limits

NOBODY = 65534
_USER_INSIDE = 1000  # a job's user id in its own user namespace
_MAX_DESCRIPTORS = 64


@dataclass(frozen=True)
class Confinement:
    """Settings that the zygote prepares once for all its jobs.

    `filter` is the seccomp program, `folders` are the readable folders, `base_bytes` is the address space that the
    interpreter has mapped, `namespaces` are the zygote's own namespace ids, and `user` is its (user id, group id).
    """

    layers: frozenset[str]
    filter: bytes
    folders: list[str]
    base_bytes: int
    namespaces: dict[str, int]
    user: tuple[int, int]

    @property
    def clone_flags(self) -> int:
        """The namespace flags for `clone`."""
        return sum(flag for name, flag in NAMESPACES.items() if name in self.layers)


def confine(confinement: Confinement, limits: Limits) -> list[str]:
    """Install all layers, and return the names of those that the kernel confirms to be in force.

    Raises:
        OSError: A layer cannot be installed.
    """
    names = [name for name, number in namespace_ids().items() if confinement.namespaces[name] != number]
    if "uts" in confinement.layers:
        call("sethostname", b"sandbox", 7)
    if "user" in confinement.layers:
        map_user(_USER_INSIDE, confinement.user)
    if "mount" in confinement.layers:
        jail.enter(limits)
    if "rlimits" in confinement.layers:
        limit_resources(limits, confinement.base_bytes)
    if "landlock" in confinement.layers or "seccomp" in confinement.layers:
        drop_capabilities()
    if "landlock" in confinement.layers:
        landlock.restrict(confinement.folders, ["/tmp"] if "mount" in confinement.layers else [])
    if "seccomp" in confinement.layers:
        seccomp.install(confinement.filter)
    if confinement.user[0] != 0:
        names.append("uid")
    if not _may_list_root():
        names.append("landlock")
    if seccomp.is_installed():
        names.append("seccomp")
    if resource.getrlimit(resource.RLIMIT_NPROC) == (limits.threads, limits.threads):
        names.append("rlimits")
    return names


def limit_resources(limits: Limits, base_bytes: int) -> None:
    """Set the resource limits of this process and its children, which cannot raise them."""
    for kind, amount in (
        (resource.RLIMIT_CPU, limits.cpu_seconds),
        (resource.RLIMIT_AS, base_bytes + limits.memory_bytes),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_NPROC, limits.threads),
        (resource.RLIMIT_NOFILE, _MAX_DESCRIPTORS),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (amount, amount))


def _may_list_root() -> bool:
    try:
        os.close(os.open("/", os.O_RDONLY | os.O_DIRECTORY))
    except PermissionError:
        return False
    return True
