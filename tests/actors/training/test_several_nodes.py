"""If a node is lost, its training resumes on another node from the last checkpoint and produces the same weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.cluster.connection.nodes import Nodes, head

pytestmark = [pytest.mark.faults, pytest.mark.timeout(580)]
ROOT = Path(__file__).parents[3]
EVERY, STRIKE = 50, 120  # steps between checkpoints, and the step at which the node is killed
DRIVER = """
import dataclasses, json, sys
from pathlib import Path
from actors.training.spec import TrainPlacement, TrainSpec
from actors.training.trainer import train
from cluster.connection.session import connect

address, base, folder, workers = sys.argv[1:]
pairs = [(f"Say {i}.", f"{i} " * (i % 4 + 1)) for i in range(9)]
spec = TrainSpec(base, dtype="float32", learning_rate=1e-3, epochs=200, batch_size=4, micro_batch_size=2)
placement = TrainPlacement(workers=int(workers), cpus=1, checkpoint_steps=EVERY)
with connect(address):
    whole = train(spec, pairs, Path(folder, "whole"), placement)
    broken = train(spec, pairs, Path(folder, "broken"), placement, lambda step, *_: print("step", step, flush=True))
print("told", json.dumps([broken.losses == whole.losses, broken.restarts]))
"""


@contextmanager
def driver(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Trains twice, and prints the steps of the second training."""
    command = [sys.executable, "-c", DRIVER.replace("EVERY", str(EVERY)), *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def holds(node: subprocess.Popen[bytes], name: str) -> bool:
    """Return whether an actor of this class is running on the node."""
    for process in psutil.Process(node.pid).children(recursive=True):
        with suppress(psutil.Error):
            if process.cmdline() and name in process.cmdline()[0]:
                return True
    return False


def strike(nodes: Nodes, name: str) -> bool:
    """Kill the last node that has a worker of the training, if one is seen."""
    for node in reversed(nodes.processes[1:]):
        if holds(node, name):
            nodes.kill(node)
            return True
    return False


@pytest.mark.parametrize(("workers", "name"), [(1, "TrainHost"), (2, "RayTrainWorker")])
def test_a_training_outlives_the_node_that_it_runs_on(
    model_folder: Path, tmp_path: Path, workers: int, name: str
) -> None:
    with head("--num-cpus=0") as nodes:
        for _ in range(workers + 1):  # one to spare
            nodes.worker("--num-cpus=1")
        with driver(nodes.address, model_folder, tmp_path, workers) as process:
            assert process.stdout
            struck, later, outcome = False, list[int](), []
            for word, _, told in (line.partition(" ") for line in process.stdout):  # among Ray's own
                if word == "step" and struck:
                    later.append(int(told))
                elif word == "step" and int(told) >= STRIKE:
                    struck = strike(nodes, name)
                elif word == "told":
                    outcome = json.loads(told)
            assert process.wait(60) == 0
    same, restarts = outcome
    assert (struck, same, restarts) == (True, True, 1)
    assert min(later) > EVERY  # not from the beginning
    whole, broken = ((tmp_path / which / "model.safetensors").read_bytes() for which in ("whole", "broken"))
    assert broken == whole
