"""Fixtures of fault tests: a study in a temporary folder, and a random source for the times of faults."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.rig import Forked, Rig


@pytest.fixture
def chance(seed: int, request: pytest.FixtureRequest) -> random.Random:
    """A random source for the time and place of a fault: fixed for each test and seed."""
    return random.Random(request.node.name)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "rig")


@pytest.fixture(scope="module", autouse=True)
def zygote() -> Iterator[None]:
    """Stop the process that forks drivers after the tests of a file: it must not outlive Ray."""
    yield
    Forked.end_all()
