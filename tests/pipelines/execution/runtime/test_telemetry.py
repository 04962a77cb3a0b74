"""Metrics of a run reach Ray's exporter, the dashboard asks for those that exist, events are JSON lines with ids."""

from __future__ import annotations

import io
import json
import re
import time
import urllib.request
from pathlib import Path

import pytest
import ray
from rich.console import Console

from cluster.connection.session import Session
from pipelines.execution.runner import run
from pipelines.execution.runtime.events import IN_STORE, emit, log_to
from pipelines.execution.stream import monitor as watch
from pipelines.store.store import Store
from pipelines.study.file.load import load
from tests.support.studies import scripted_study

ROOT = Path(__file__).parents[4]
SECONDS = 90.0


def exported(study: str, names: set[str]) -> set[str]:
    """Which of these metrics of a study Prometheus reads, once all were there or time is up."""
    port = ray.nodes()[0]["MetricsExportPort"]
    deadline, found = time.monotonic() + SECONDS, set[str]()
    while True:  # a gauge goes again some time after a run
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        found |= {name for name in names if re.search(rf'{name}{{[^}}]*study="{study}"', text)}
        if found == names or time.monotonic() > deadline:
            return found
        time.sleep(0.5)


def write(folder: Path) -> Path:
    engine = {"engine": "scripted", "cpus": 0.1, "runtime": {"refuse": "Say 2."}}
    models = {name: engine | {"source": name} for name in ("small", "large", "scorer")}
    (folder / "seeds.jsonl").write_text("".join(f'{{"instruction": "Say {n}."}}\n' for n in range(6)))
    study = scripted_study(models=models, seeds=[{"name": "own", "file": "seeds.jsonl"}], study="observed")
    (folder / "study.yaml").write_text(json.dumps(study.model_dump(exclude_defaults=True)))
    return folder / "study.yaml"


def test_a_run_shorter_than_a_look_is_seen_by_prometheus_and_told_in_events(
    ray_local: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "MONITOR_POLL_SECONDS", 60.0)
    log, store = tmp_path / "logs" / "run.jsonl", Store(str(tmp_path / "store"))
    with log_to(str(log), store, "observed"):
        run(load(write(tmp_path)), store, None, Console(file=io.StringIO()))
    wanted = {"evolgrid_steps_total", "evolgrid_rows_total", "evolgrid_gpu_idle_share", "evolgrid_tokens_total"}
    assert exported("observed", wanted) == wanted

    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert {each["study"] for each in events} == {"observed"}
    finished = [each for each in events if each["event"] == "step finished"]
    assert {each["step"] for each in finished} == store.finished_keys()
    assert all(each["rows_in"] == each["rows_out"] + each["rejected"] + each["failed"] for each in finished)
    lost = [each for each in events if each["event"] == "row failed"]
    assert lost and sum(each["failed"] for each in finished) == len(lost)
    assert all(each["row"] and each["step"] and each["reason"] == "refused" for each in lost)


def test_the_dashboard_asks_for_metrics_that_exist() -> None:
    asked = set(re.findall(r"ray_(evolgrid_\w+)", (ROOT / "docs" / "grafana.json").read_text()))
    exporter = ROOT / "pipelines" / "execution" / "runtime" / "telemetry.py"
    made = set(re.findall(r'"(evolgrid_\w+)"', exporter.read_text()))
    assert asked and asked <= made


def test_each_run_has_its_own_events_in_the_store(tmp_path: Path) -> None:
    store = Store(f"file://{tmp_path}")
    for step in ("a", "b"):
        with log_to(IN_STORE, store, "kept"):
            emit("step finished", step=step)
            told = [path.read_text() for path in sorted(tmp_path.glob("studies/kept/events/*.jsonl"))]
            assert json.loads(told[-1])["step"] == step  # at once, where the store is a disk
    assert len(told) == 2


def test_nothing_is_written_without_a_file(tmp_path: Path) -> None:
    with log_to(None, Store(str(tmp_path)), "silent"):
        emit("step finished", step="a")
    assert list(tmp_path.iterdir()) == []
