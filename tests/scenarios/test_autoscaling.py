"""A run on a cluster without a GPU: nodes come for a phase, all at once, go when nobody needs them, come again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.resources.inventory import LAUNCHER_CONFIG_VARIABLE
from tests.cluster.connection.nodes import autoscaling
from tests.support.studies import scripted_study

ROOT = Path(__file__).parents[2]
DRIVER = """
import io, json, sys, threading, time
from pathlib import Path
import ray
from rich.console import Console
from cluster.connection.session import connect
from pipelines.execution.runner import run
from pipelines.store.store import Store
from pipelines.study.file.load import load

def gpus():
    return int(sum(node["Resources"].get("GPU", 0) for node in ray.nodes() if node["Alive"]))

def watched(study):
    most, ended = [0], threading.Event()
    def watch():
        while not ended.wait(0.2):
            most[0] = max(most[0], gpus())
    threading.Thread(target=watch, daemon=True).start()
    done = run(load(Path(study)), Store(sys.argv[2]), None, Console(file=io.StringIO()))
    ended.set()
    return [most[0], done.executed]

told = []
with connect(sys.argv[1]):
    for study in sys.argv[3:]:
        told.append(gpus())
        told.append(watched(study))
        deadline = time.monotonic() + 120
        while gpus() and time.monotonic() < deadline:
            time.sleep(0.3)
    told.append(gpus())
print(json.dumps(told))
"""


def test_gpu_nodes_come_go_and_come_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)  # Ray starts no node with more GPUs than it lists
    kinds = {"gpu": {"resources": {"CPU": 1, "GPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": 3}}
    engine = {"engine": "scripted", "cpus": 0.1, "gpus": 1}
    models = {name: engine | {"source": name} for name in ("small", "large")}
    for seed in (0, 1):
        study = scripted_study(models=models, scoring=None, seed=seed, study=f"scaled-{seed}")
        text = json.dumps(study.model_dump(exclude_defaults=True, exclude_none=True))
        (tmp_path / f"scaled-{seed}.yaml").write_text(text)
    with autoscaling(kinds, idle_seconds=3) as nodes:
        done = subprocess.run(
            [sys.executable, "-c", DRIVER, nodes.address, tmp_path / "store", *sorted(tmp_path.glob("*.yaml"))],
            env=os.environ
            | {"PYTHONPATH": str(ROOT), LAUNCHER_CONFIG_VARIABLE: json.dumps({"available_node_types": kinds})},
            capture_output=True,
            text=True,
            timeout=280,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    before, first, between, second, after = json.loads(done.stdout.splitlines()[-1])
    assert (before, between, after) == (0, 0, 0)
    assert [most for most, _ in (first, second)] == [2, 2]
    assert all(executed > 10 for _, executed in (first, second))
