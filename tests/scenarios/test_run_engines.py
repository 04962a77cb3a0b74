"""Whole studies while their engines come and go, in phases."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.store.store import Store
from pipelines.study.file.load import load
from tests.scenarios.test_run import contents, go

pytestmark = pytest.mark.usefixtures("ray_local")
STUDY = """\
study: engines
seeds:
  - {{name: world, world: {{count: {count}}}}}
models:
  small: {{source: small, engine: scripted, cpus: {cpus}{small}}}
  large: {{source: large, engine: scripted, cpus: {cpus}}}
  judge: {{source: judge, engine: scripted, cpus: {cpus}}}
evolution: {{evolvers: [{evolvers}], rounds: 2}}
responses: {{teachers: [{teachers}], answer_seeds: false}}
scoring: {{scorer: judge}}
"""


def write(folder: Path, count: int = 40, cpus: float = 0.1, small: str = "", evolvers: str = "small, large") -> Path:
    path = folder / "study.yaml"
    path.write_text(STUDY.format(count=count, cpus=cpus, small=small, evolvers=evolvers, teachers=evolvers))
    return path


def test_models_that_do_not_fit_at_once_take_turns_and_give_the_same_rows(tmp_path: Path) -> None:
    together, in_turns = Store(str(tmp_path / "together")), Store(str(tmp_path / "turns"))
    _, told = go(write(tmp_path), together)
    assert "phases" not in told
    _, told = go(write(tmp_path, cpus=2), in_turns)
    assert "2 phases, because not all models fit at once: 3 loads" in told
    _, told = go(write(tmp_path, cpus=3), Store(str(tmp_path / "one-by-one")))
    assert "4 phases, because not all models fit at once: 4 loads" in told
    assert contents(together) == contents(in_turns) == contents(Store(str(tmp_path / "one-by-one")))


def test_a_study_file_may_name_endpoints_and_scaling(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    text = STUDY.format(
        count=3, cpus=0.1, evolvers="small", teachers="small", small=", max_replicas: 3, in_flight: 8, shared: true"
    )
    path.write_text(text.replace("source: judge, engine: scripted", "source: judge, engine: http"))
    models = load(path).study.models
    assert (models["small"].max_replicas, models["small"].in_flight, models["small"].shared) == (3, 8, True)
    assert models["judge"].engine == "http"
