"""Models on two nodes of three GPUs: what fits in sum alone takes turns, and what lies in another's way moves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.gpus import simulating_gpus
from tests.support.studies import scripted_study

ROOT = Path(__file__).parents[2]
SCRIPT = """
import io, json, sys, time
from pathlib import Path
from ray.cluster_utils import Cluster
from ray.util import placement_group_table
from rich.console import Console
from actors.serving.spec import ReplicaResources
from actors.serving.spec import PoolSpec
from actors.serving.residency import ModelResidency, ResidentModel
from cluster.connection.auth import ensure_token, use_token
from cluster.connection.session import connect
from pipelines.execution.runner import run
from pipelines.store.store import Store
from pipelines.study.file.load import load
from tests.actors.serving.pools import ask, ids, scripted

SHARES = {"x": 2, "y": 2, "a": 1, "b": 1, "c": 3}

def entered(residency, models, *later):
    started, pools = time.monotonic(), residency.activate(models, later, 120)
    assert all(len(ids(ask(pool.client(), 2))) == 2 for pool in pools.values())
    placed = [group for group in placement_group_table().values() if group["state"] == "CREATED"]
    nodes = {group["name"].split("/")[0]: group["bundles_to_node_id"][0] for group in placed}
    return time.monotonic() - started, nodes, {name: pool.stats().pids for name, pool in pools.items()}

def moved():
    models = {
        name: ResidentModel(PoolSpec(scripted(name), name, ReplicaResources(0.1, n)), weight_bytes=1)
        for name, n in SHARES.items()
    }
    residency = ModelResidency(models, lambda node: 9)
    _, apart, first = entered(residency, "xyab", "ac", "b")
    slept, asleep, second = entered(residency, "ac", "b")
    entered(residency, "xyab", "abc")
    worked, together, _ = entered(residency, "abc")
    residency.close()
    return {
        "apart": apart["a"] != apart["b"],
        "the sleeper gave way": "b" not in asleep and first["a"] == second["a"],
        "those at work moved": together["a"] == together["b"] != together["c"],
        "seconds": [slept, worked],
    }

ensure_token()
use_token(required=True)
simulated = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 0})
try:
    for _ in range(2):
        simulated.add_node(num_cpus=2, num_gpus=3)
    with connect(simulated.address):
        told, console = moved(), io.StringIO()
        told["executed"] = run(load(Path(sys.argv[1])), Store(sys.argv[2]), None, Console(file=console)).executed
        told["console"] = console.getvalue()
finally:
    simulated.shutdown()
print(json.dumps(told))
"""


@pytest.mark.faults
def test_models_find_room_on_single_nodes(tmp_path: Path) -> None:
    engine = {"engine": "scripted", "cpus": 0.1, "gpus": 2}
    models = {name: engine | {"source": name} for name in ("small", "large", "scorer")}
    study = scripted_study(models=models, seeds=[{"name": "world", "world": {"count": 4}}])
    path = tmp_path / "study.yaml"
    path.write_text(json.dumps(study.model_dump(exclude_defaults=True, exclude_none=True)))
    command, environment = [sys.executable, "-c", SCRIPT, path, tmp_path / "store"], simulating_gpus()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["apart"] and told["the sleeper gave way"] and told["those at work moved"], told
    assert max(told["seconds"]) < 100, "not until the time for coming in is over"
    assert "2 phases, because not all models fit at once" in told["console"] and told["executed"] > 10, told
