"""What is run in the sandbox and what comes back: plain frozen data, without any machinery."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

REQUEST_BYTES = 64 << 20
EXTRA_BYTES = 4096  # of a frame, beyond those of the value
Level = Literal["L2", "L1", "L0"]
Status = Literal["returned", "raised", "timeout", "memory", "output", "killed", "refused", "infrastructure"]
Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]
LAYERS: dict[Level, frozenset[str]] = {
    "L2": frozenset({"uid", "user", "pid", "net", "mount", "ipc", "uts", "landlock", "seccomp", "rlimits"}),
    "L1": frozenset({"uid", "landlock", "seccomp", "rlimits"}),
    "L0": frozenset({"rlimits"}),
}
"""What stands between a job and the machine, by level; L3 (a virtual machine) is not built."""


class SandboxError(Exception):
    """The sandbox can not be had as asked; the message says why and what to do. Shown to users without a traceback."""


@dataclass(frozen=True)
class Limits:
    """Bounds of one process of a job. `wall_seconds` holds for loading the source and for each call on its own."""

    wall_seconds: float = 15.0
    cpu_seconds: int = 10
    memory_bytes: int = 512 << 20  # of address space, beyond what the interpreter has mapped itself
    threads: int = 16  # further processes a job can not start at all
    file_bytes: int = 16 << 20  # all files together
    files: int = 256
    output_bytes: int = 1 << 20  # of one encoded result


@dataclass(frozen=True)
class SandboxJob:
    """Source to be executed as a module and, if `call` is given, a function of it to be called with `arguments`."""

    id: str
    source: str
    call: str | None = None
    arguments: tuple[Plain, ...] = ()
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Check:
    """A solution and the tests that it must pass.

    `setup` and `tests` are the benchmark's own code and run in another process than `solution`. Names in `remote` are
    looked up in the solution; `fixture` is code of the benchmark that needs the solution's classes and runs beside it.
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
    """How one call, one source or one check ended.

    `value` is the returned value where status is "returned"; for a check it is True. It is the job's claim, no verdict.
    `infrastructure` says nothing about the job: the sandbox itself failed, repeatedly.
    """

    id: str
    status: Status
    value: Plain = None
    detail: str = ""
    seconds: float = 0.0
    level: Level = "L2"
