"""What each tracker's own library has on disk after a run without network; mlflow and trackio by their API alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from pipelines.execution.trackers.backend import Backend, Target, TrackedRun
from pipelines.execution.trackers.registry import make_backend

LOSSES = TrackedRun("study-abc-123", "train tiny full on world / tiny", {"epochs": 1})
SCORES = TrackedRun("study-abc-study", "study tracked")


def target(folder: Path) -> Target:
    return Target("evolgrid", "tracked", folder, offline=True)


def log_twice(make: Any) -> None:
    """Log as two runs of one study do: the second continues the first."""
    for step in (1, 2):
        backend: Backend = make()
        backend.log(LOSSES, step, {"train/loss": 1 / step})
        backend.log(SCORES, step, {"score/sums/tiny untuned": 50.0})
        backend.close()


def test_tensorboard_has_the_curves_of_both_runs(tmp_path: Path) -> None:
    log_twice(lambda: make_backend("tensorboard", target(tmp_path)))
    events: Any = import_module("tensorboard.backend.event_processing.event_multiplexer")
    found = events.EventMultiplexer().AddRunsFromDirectory(str(tmp_path)).Reload()
    curves = {
        (tag, event.step, event.value)
        for name, tags in found.Runs().items()
        for tag in tags["scalars"]
        for event in found.Scalars(name, tag)
    }
    assert {curve for curve in curves if curve[0] == "train/loss"} == {("train/loss", 1, 1.0), ("train/loss", 2, 0.5)}
    assert len(curves) == 4 and len(found.Runs()) == 2


@pytest.fixture
def wandb_service() -> Iterator[None]:
    """The process that wandb starts for its runs ends with the test; in a run of a study it ends with the driver."""
    yield
    import_module("wandb").teardown()


@pytest.mark.usefixtures("wandb_service")
def test_wandb_has_a_folder_to_sync_for_each_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log_twice(lambda: make_backend("wandb", target(tmp_path)))
    files = sorted(path.name for path in (tmp_path / "wandb").glob("offline-run-*/*.wandb"))
    assert set(files) == {f"run-{run.id}.wandb" for run in (LOSSES, SCORES)} and len(files) == 4
    assert b"train/loss" in b"".join(path.read_bytes() for path in tmp_path.rglob("*.wandb"))
    assert capfd.readouterr() == ("", "")


class FakeMlflow:
    """The part of mlflow's client that is used."""

    def __init__(self) -> None:
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.uris: list[str] = []

    def client(self, tracking_uri: str) -> FakeMlflow:
        self.uris.append(tracking_uri)
        return self

    def get_experiment_by_name(self, name: str) -> Any:
        return SimpleNamespace(experiment_id=self.experiments[name]) if name in self.experiments else None

    def create_experiment(self, name: str) -> str:
        self.experiments[name] = "1"
        return "1"

    def search_runs(self, experiments: list[str], query: str, max_results: int) -> list[Any]:
        found = [run for run in self.runs.values() if f"'{run['tags']['evolgrid.run']}'" in query]
        return [SimpleNamespace(info=SimpleNamespace(run_id=run["id"])) for run in found]

    def create_run(self, experiment: str, run_name: str, tags: dict[str, str]) -> Any:
        run: dict[str, Any] = {
            "id": str(len(self.runs)),
            "name": run_name,
            "tags": tags,
            "points": [],
            "params": {},
            "ended": 0,
        }
        self.runs[run["id"]] = run
        return SimpleNamespace(info=SimpleNamespace(run_id=run["id"]))

    def log_param(self, run: str, name: str, value: str) -> None:
        self.runs[run]["params"][name] = value

    def log_metric(self, run: str, name: str, value: float, step: int) -> None:
        self.runs[run]["points"].append((name, step, value))

    def set_terminated(self, run: str) -> None:
        self.runs[run]["ended"] += 1


def test_mlflow_continues_the_run_of_its_tag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeMlflow()
    module: Any = ModuleType("mlflow")
    module.MlflowClient = fake.client
    monkeypatch.setitem(sys.modules, "mlflow", module)
    log_twice(lambda: make_backend("mlflow", target(tmp_path)))
    losses, scores = fake.runs.values()
    assert losses["points"] == [("train/loss", 1, 1.0), ("train/loss", 2, 0.5)] and losses["params"] == {"epochs": "1"}
    assert [name for name, *_ in scores["points"]] == ["score/sums/tiny untuned"] * 2 and scores["ended"] == 2
    assert set(fake.uris) == {f"sqlite:///{tmp_path}/mlflow.db"}


@pytest.mark.skipif(find_spec("mlflow") is None, reason="mlflow needs an older pyarrow than the tests have")
def test_mlflow_has_the_curves_in_its_own_database(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log_twice(lambda: make_backend("mlflow", target(tmp_path)))
    assert capfd.readouterr() == ("", "")
    client = import_module("mlflow").MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("evolgrid").experiment_id
    runs = {run.info.run_name: run.info.run_id for run in client.search_runs([experiment])}
    points = client.get_metric_history(runs[LOSSES.name], "train/loss")
    assert sorted((point.step, point.value) for point in points) == [(1, 1.0), (2, 0.5)] and len(runs) == 2


def test_trackio_continues_the_run_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[dict[str, Any]] = []
    points: list[tuple[str, int, dict[str, float]]] = []

    def init(**options: Any) -> Any:
        opened.append(options)
        log = lambda values, step: points.append((options["name"], step, values))  # noqa: E731
        return SimpleNamespace(log=log, finish=lambda: None)

    module: Any = ModuleType("trackio")
    module.init = init
    monkeypatch.setitem(sys.modules, "trackio", module)
    monkeypatch.delenv("TRACKIO_DIR", raising=False)
    log_twice(lambda: make_backend("trackio", target(tmp_path)))
    assert len({options["name"] for options in opened}) == 2 and {options["resume"] for options in opened} == {"allow"}
    assert [(step, values) for name, step, values in points if LOSSES.id in name] == [
        (1, {"train/loss": 1.0}),
        (2, {"train/loss": 0.5}),
    ]


@pytest.mark.skipif(find_spec("trackio") is None, reason="trackio needs an older pillow than the tests have")
def test_trackio_has_the_runs_in_its_own_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    log_twice(lambda: make_backend("trackio", target(tmp_path)))
    assert capfd.readouterr() == ("", "")
    assert any(b"train/loss" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
