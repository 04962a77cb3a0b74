"""One sandbox for the tests of each file. They are skipped where the machine cannot provide its default level."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

import psutil
import pytest

from actors.sandbox.protocol.job import SandboxError
from actors.sandbox.sandbox import Sandbox

ROUNDS = int(os.environ.get("SANDBOX_ROUNDS", "2"))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    try:
        box = Sandbox(workers=2)
    except SandboxError as error:
        pytest.skip(str(error))
    with box:
        yield box


@pytest.fixture(scope="session")
def rounds() -> int:
    """How often each attack is tried: `SANDBOX_ROUNDS`."""
    return ROUNDS


@pytest.fixture(scope="session")
def zygotes() -> Callable[[], list[int]]:
    """Return a function that lists the zygotes and jobs of this process's sandboxes, and orphaned ones."""

    def listed() -> list[int]:
        found: list[int] = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.NoSuchProcess):
                mine = process.ppid() == 1 or os.getpid() in (parent.pid for parent in process.parents())
                found += [process.pid] if mine and "confined.zygote" in " ".join(process.cmdline()) else []
        return found

    return listed
