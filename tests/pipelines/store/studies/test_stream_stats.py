"""What Ray Data measured of each stream is kept, and found by the steps that it ran."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from pipelines.cli.app import app
from pipelines.cli.views.streams import show_streams
from pipelines.execution.runner import run
from pipelines.store.store import Store
from pipelines.store.studies.stream_stats import load_streams
from pipelines.study.file.load import load
from tests.support.studies import scripted_study


def written(folder: Path, *teachers: str) -> Path:
    path = folder / "study.yaml"
    study = scripted_study(responses={"teachers": [*teachers]}, scoring=None)
    path.write_text(json.dumps(study.model_dump(exclude_defaults=True)))
    return path


@pytest.mark.usefixtures("ray_local")
def test_each_stream_leaves_what_ray_data_measured(tmp_path: Path) -> None:
    url, quiet = str(tmp_path / "store"), Console(file=io.StringIO())
    store = Store(url)
    run(load(written(tmp_path, "small")), store, None, quiet)
    path = written(tmp_path, "small", "large")
    run(load(path), store, None, quiet)
    run(load(path), store, None, quiet)  # all is done: no stream

    steps = {key: store.manifest(kind, key).kind for kind in ("evolve", "respond") for key in _keys(store, kind)}
    first, second = load_streams(store, steps)
    assert first.steps.keys() | second.steps.keys() == steps.keys()
    assert first.steps.keys().isdisjoint(second.steps)
    assert all("/ large" in label for label in second.steps.values())
    (walker,) = first.operators
    assert walker.rows == 20 * len(first.steps)
    assert 0 < walker.cpu_seconds < first.seconds
    assert 0 < walker.wall_seconds < first.seconds
    assert walker.peak_bytes is None or walker.peak_bytes > 2**20
    assert walker.failed_tasks == 0 and 0 <= walker.waited_seconds < first.seconds
    assert "Remote cpu time" in first.text

    shown = CliRunner().invoke(app, ["status", str(path), "--store", url, "--stats"], env={"COLUMNS": "200"}).stdout
    assert walker.operator in shown
    assert next(iter(second.steps.values())) in shown
    assert walker.operator not in CliRunner().invoke(app, ["status", str(path), "--store", url]).stdout


def _keys(store: Store, kind: str) -> list[str]:
    return [path.parent.name for path in (Path(store.root) / "steps" / kind).glob("*/manifest.json")]


def test_nothing_measured_is_said(tmp_path: Path) -> None:
    console = Console(file=io.StringIO())
    show_streams(console, load_streams(Store(str(tmp_path)), ["a"]))
    assert "no stream of these steps has finished" in console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
