"""What tests of faults start from: a study in a folder of its own, and the moment at which a fault strikes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.rig import Forked, Rig


@pytest.fixture
def chance(seed: int, request: pytest.FixtureRequest) -> random.Random:
    """The moment and the place of a fault: another one for every test and seed, the same ones every time."""
    return random.Random(request.node.name)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "rig")


@pytest.fixture(scope="module", autouse=True)
def zygote() -> Iterator[None]:
    """The process that drivers are forked from ends with the tests of a file: none may be left when Ray ends."""
    yield
    Forked.end_all()
