"""A finished study for tests that read, damage or grow a store: run once, copied for each."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipelines.store.store import Store
from pipelines.study.graph.steps.grid import Grid
from tests.support.offline import run_offline
from tests.support.studies import scripted_study


@pytest.fixture(scope="session")
def finished_study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Grid]:
    folder = tmp_path_factory.mktemp("finished")
    return folder, run_offline(scripted_study(responses={"teachers": ["small"]}), Store(str(folder)))


@pytest.fixture
def finished_store(finished_study: tuple[Path, Grid], tmp_path: Path) -> tuple[Store, Grid]:
    """A store of its own with the scripted study, answered by one teacher, and the study's steps."""
    folder, grid = finished_study
    return Store(str(shutil.copytree(folder, tmp_path / "store"))), grid
