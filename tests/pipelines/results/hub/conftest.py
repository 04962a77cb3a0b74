"""A finished study with two students, of which one has a base on the hub, without Ray and torch."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from pipelines.execution.runtime.commit import commit_step
from pipelines.execution.steps.instruction_sets import write_results
from pipelines.results.report.publish import publish
from pipelines.rows.types import AnswerRow
from pipelines.store.manifest import Account
from pipelines.store.store import Store
from pipelines.study.file.load import LoadedStudy, load
from pipelines.study.graph.steps.grid import Grid
from tests.support.hub_cache import COMMIT, hub_cache
from tests.support.hub_server import HubServer, hub_server
from tests.support.offline import run_offline

STUDY = f"""
study: greetings
description: Who counts best
seeds:
  - {{name: world, world: {{count: 12}}}}
models:
  small: {{source: small, engine: scripted}}
  here: {{source: "bundled:tiny-4m-base"}}
  there: {{source: org/base, revision: {COMMIT}}}
evolution: {{evolvers: [small], rounds: 1}}
responses: {{teachers: [small]}}
recipes:
  whole: {{}}
  lora: {{tuning: lora}}
students:
  - {{model: here, recipe: lora}}
  - {{model: there, recipe: lora}}
  - {{model: there, recipe: whole}}
benchmarks:
  - {{name: world, world: {{count: 4}}}}
"""


class Finished(NamedTuple):
    """The file of a finished study, the URL of its store, and its grid."""

    study: Path
    store: str
    grid: Grid

    @property
    def loaded(self) -> LoadedStudy:
        return load(self.study)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("finished")
    path, url = folder / "greetings.yaml", str(folder / "store")
    path.write_text(STUDY)
    store = Store(url)
    grid = run_offline(load(path).study, store)
    for cell in grid.cells:
        if cell.train:
            commit_student(store, grid, cell.train.key, cell.student.recipe == "lora")
            for _, step in cell.evaluations:
                commit_step(store, step, *reversed(write_results(store, step, [answer(step.key)])), 1.0)
    publish(load(path).study, folder, grid, store)
    return Finished(path, url, grid)


def commit_student(store: Store, grid: Grid, key: str, has_adapter: bool) -> None:
    """A trained student of random bytes."""
    step = grid.steps[key]
    files = {"config.json": b"{}", "model.safetensors": os.urandom(5_000), "tokenizer.json": b'{"a": 1}'}
    if has_adapter:
        files["adapter/adapter_config.json"] = json.dumps({"peft_type": "LORA", "r": 8}).encode()
        files["adapter/adapter_model.safetensors"] = os.urandom(3_000)
    for name, content in files.items():
        store.write_bytes(f"{store.folder(step.kind, step.key)}/model/{name}", content)
    seconds = {"train_seconds": 1.0, "start_seconds": 0.1}
    extra = {"losses": [[1, 2.0], [2, 1.0]], "speed": {}, "tokens": 10, "placement": {"together": 1}} | seconds
    shards = store.files(step.kind, step.key, "model")
    commit_step(store, step, Account(rows_in=12, rows_out=12), shards, 1.0, extra)


def answer(key: str) -> AnswerRow:
    row = AnswerRow(
        id=f"00{key}", parent_id="", seed_id="s", index=0, task="count", level=0, instruction="", reference="",
        response="", correct=True,
    )  # fmt: skip
    return replace(row, item="1", measures=["accuracy"], values=[1.0], weights=[1.0])


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[HubServer]:
    hub_cache(tmp_path / "cache", monkeypatch, offline=False)
    with hub_server(monkeypatch) as server:
        yield server
