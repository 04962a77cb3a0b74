"""One sandbox for all tests of this folder; skipped where the machine can not give its default level."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from actors.sandbox.job import SandboxError
from actors.sandbox.sandbox import Sandbox

ROUNDS = int(os.environ.get("SANDBOX_ROUNDS", "2"))


@pytest.fixture(scope="session")
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
