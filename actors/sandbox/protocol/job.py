"""The sandbox's data types: jobs, checks, limits and outcomes, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cluster.errors import EvolgridError

REQUEST_BYTES = 64 << 20
EXTRA_BYTES = 4096  # of a frame, in addition to the value's bytes
Level = Literal["L2", "L1", "L0"]
Status = Literal["returned", "raised", "timeout", "memory", "output", "killed", "refused", "infrastructure"]
Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]
LAYERS: dict[Level, frozenset[str]] = {
    "L2": frozenset({"uid", "user", "pid", "net", "mount", "ipc", "uts", "landlock", "seccomp", "rlimits"}),
    "L1": frozenset({"uid", "landlock", "seccomp", "rlimits"}),
    "L0": frozenset({"rlimits"}),
}
"""The layers that isolate a job from the machine, by level. L3 (a virtual machine) is not implemented."""


class SandboxError(EvolgridError):
    """The sandbox is unavailable. The message says why and what to do. It is shown to users without a traceback."""


@dataclass(frozen=True)
class Limits:
    """Resource limits of each process of a job. `wall_seconds` applies to loading the source and to each call."""

    wall_seconds: float = 15.0
    cpu_seconds: int = 10
    memory_bytes: int = 512 << 20  # of address space, in addition to what the interpreter has mapped itself
    threads: int = 16  # a job cannot start further processes at all
    file_bytes: int = 16 << 20  # of all files together
    files: int = 256
    output_bytes: int = 1 << 20  # of one encoded result


@dataclass(frozen=True)
class SandboxJob:
    """Source code to execute as a module and, if `call` is given, a function of it to call with `arguments`."""

    id: str
    source: str
    call: str | None = None
    arguments: tuple[Plain, ...] = ()
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Check:
    """A solution and the tests that it must pass.

    `setup` and `tests` are the benchmark's own code and run in another process than `solution`. The names in `remote`
    refer to the solution. `fixture` is code of the benchmark that needs the solution's classes, so it runs in the
    solution's process.
    """

    id: str
    solution: str
    tests: str
    remote: tuple[str, ...]
    setup: str = ""
    fixture: str = ""
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Outcome:
    """The result of one call, one source or one check.

    If the status is "returned", `value` is the returned value, which for a check is True. For a job it is untrusted: it
    is only what the job claims. The status "infrastructure" says nothing about the job: the sandbox itself failed
    repeatedly.
    """

    id: str
    status: Status
    value: Plain = None
    detail: str = ""
    seconds: float = 0.0
    level: Level = "L2"
