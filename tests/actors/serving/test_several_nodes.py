"""On simulated one-GPU nodes, a replica spans several nodes if necessary, and moves away from a node being drained."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.gpus import simulating_gpus

ROOT = Path(__file__).parents[3]
SCRIPT = """
import asyncio, ray, sys, threading, time
from pathlib import Path
from actors.serving.spec import ReplicaResources
from actors.engine import GenerateRequest, Sampling
from actors.serving.pool import Pool
from benchmarks.simulated_scale import simulated_cluster
from ray.util import placement_group_table
from tests.actors.serving.pools import ask, groups, ids, scripted
from tests.support.timing import until
from actors.serving.spec import PoolSpec

def free():
    return ray.available_resources().get("GPU", 0)

with simulated_cluster(2):
    pool = Pool(PoolSpec(scripted(), "wide", ReplicaResources(1, 2)))
    pool.wait_until_ready(60)
    (group,) = [each for each in placement_group_table().values() if each["name"].startswith("wide/")]
    request = GenerateRequest("r", (("user", "Why?"),), Sampling(max_tokens=3))
    answer = asyncio.run(pool.client().generate(request))
    nodes = set(group["bundles_to_node_id"].values())
    print("nodes", len(nodes), "tokens", answer.tokens_out, "free", free(), flush=True)
    pool.close()
    until(lambda: free() == 2 and not groups("wide"))
    print("given back", flush=True)

    pool = Pool(PoolSpec(scripted(release=sys.argv[1]), "moved", ReplicaResources(1, 1), max_ongoing_requests=8))
    pool.wait_until_ready(60)
    here = lambda: {node for group in placement_group_table().values() if group["name"].startswith("moved/")
                    and group["state"] == "CREATED" for node in group["bundles_to_node_id"].values()}
    (node,), answers = here(), []
    asking = threading.Thread(target=lambda: answers.extend(ask(pool.client(), 24)))
    asking.start()
    until(lambda: pool.stats().in_flight == 8)
    gcs = ray._raylet.GcsClient(address=ray.get_runtime_context().gcs_address)
    gcs.drain_node(node, 2, "the machine is taken back", int((time.time() + 600) * 1000))
    until(lambda: pool.stats().totals.loads == 2)  # the other one is there while the first still has its requests
    Path(sys.argv[1]).touch()
    asking.join()
    until(lambda: here() and node not in here())
    work = pool.stats().totals
    print("answered", len(ids(answers)), "asked", work.requests, "loads", work.loads, "crashes", work.crashes)
    pool.close()
"""

# a driver whose GPUs are busy when a process first asks; each question is logged with the node's process
DRIVER = """
import os
from pathlib import Path
from types import SimpleNamespace

class NVMLError(Exception): ...

NVML_DEVICE_MIG_ENABLE, nvmlMemory_v2, used = 1, 2, [900]
nvmlInit = nvmlShutdown = lambda: None
nvmlDeviceGetCount = lambda: 1
nvmlDeviceGetUUID = nvmlDeviceGetHandleByIndex = str
nvmlDeviceGetMigMode = lambda device: (0, 0)

def nvmlDeviceGetMemoryInfo(device, version):
    now = used.pop() if used else 0
    with Path(__file__).with_name("log").open("a") as log:
        log.write(f"{os.getppid()} {now}\\n")
    return SimpleNamespace(used=now * 2**20, total=1000 * 2**20)
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the driver's module, which also has its log."""
    folder = tmp_path_factory.mktemp("driver")
    (folder / "pynvml.py").write_text(DRIVER)
    return folder


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, driver: Path) -> str:
    """What the script has printed."""
    command = [sys.executable, "-c", SCRIPT, str(tmp_path_factory.mktemp("moved") / "go")]
    env = simulating_gpus() | {"PYTHONPATH": os.pathsep.join([str(driver), os.environ.get("PYTHONPATH", str(ROOT))])}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False, env=env)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_a_replica_may_span_nodes_and_gives_all_of_them_back(told: str) -> None:
    assert "nodes 2 tokens 3 free 0" in told and "given back" in told


def test_a_replica_that_spans_nodes_waits_for_the_gpus_of_each(told: str, driver: Path) -> None:
    asked = [line.split() for line in (driver / "log").read_text().splitlines()]
    busy = {node for node, used in asked[:2] if used == "900"}
    assert len(busy) == 2, asked
    assert all([node, "0"] in asked for node in busy)


def test_a_replica_on_a_node_that_is_about_to_go_finishes_what_it_has_and_another_takes_the_rest(told: str) -> None:
    assert "answered 24 asked 24 loads 2 crashes 0" in told
