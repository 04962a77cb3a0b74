"""Nodes of a cluster crash during a study: it continues on the remaining nodes, and later on other ones."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from tests.faults.nodes import RayRig, nodes
from tests.faults.rig import STUDY, ended, wait_for

pytestmark = [pytest.mark.faults, pytest.mark.timeout(580)]
SECONDS = 240  # more than a cluster needs on two busy cores
SLOW = STUDY.replace("latency: 0.01", "latency: 0.5, slots: 64").replace("count: 300", "count: 200")


def begun(rig: RayRig, answers: int):
    """Return a condition: at least this many answers are durable."""
    return lambda: sum(path.read_bytes().count(b"\n") for path in Path(rig.url).rglob("*.answers")) >= answers


@pytest.mark.case(3)
@pytest.mark.parametrize("where", ["a worker", "the driver's own"])
def test_a_killed_raylet_loses_no_row(tmp_path: Path, chance: random.Random, where: str) -> None:
    with nodes() as cluster:
        rig = RayRig(tmp_path / "rig", SLOW)
        if where == "a worker":
            rig.address = cluster.begin()
            victim, _ = cluster.add(), cluster.add()
        process = rig.start()
        wait_for(begun(rig, chance.randint(10, 400)), process, SECONDS)
        if where == "a worker":
            cluster.kill(victim, "raylet")
        else:
            for raylet in process.tree("raylet", "/"):
                if raylet.name() == "raylet":
                    raylet.kill()
        run = ended(process, SECONDS)
        if where == "a worker":
            assert run.code == 0, run.output
        else:
            assert run.code == 1 and run.seconds < 60 and "Traceback" not in run.output, run.output
            assert rig.run(seconds=SECONDS).code == 0
    rig.check()
    _nothing_twice(rig)


@pytest.mark.case(4)
def test_a_run_whose_head_node_dies_ends_and_is_continued_on_another_cluster(
    tmp_path: Path, chance: random.Random
) -> None:
    rig = RayRig(tmp_path / "rig", SLOW)
    with nodes() as cluster:
        rig.address = cluster.begin()
        cluster.add()
        process = rig.start()
        wait_for(begun(rig, chance.randint(10, 400)), process, SECONDS)
        assert cluster.head
        cluster.kill(cluster.head)
        run = ended(process, 90)
        assert run.code == 1 and "Traceback" not in run.output, run.output
    with nodes() as cluster:
        rig.address = cluster.begin()
        cluster.add()
        run = rig.run(seconds=SECONDS)
        assert run.code == 0, run.output
    rig.check()


@pytest.mark.case(5)
def test_a_run_waits_for_new_nodes_when_all_workers_are_gone(tmp_path: Path, chance: random.Random) -> None:
    with nodes() as cluster:
        rig = RayRig(tmp_path / "rig", SLOW, address=cluster.begin())
        workers = [cluster.add(), cluster.add()]
        process = rig.start()
        wait_for(begun(rig, chance.randint(10, 400)), process, SECONDS)
        for worker in workers:
            cluster.kill(worker)
        time.sleep(chance.uniform(1, 10))
        assert process.poll() is None, process.said()
        cluster.add()
        run = ended(process, SECONDS)
        assert run.code == 0, run.output
    rig.check()


@pytest.mark.case(21)
def test_a_run_on_ray_that_is_asked_to_end_saves_what_is_finished_within_30_seconds(
    tmp_path: Path, chance: random.Random
) -> None:
    rig = RayRig(tmp_path / "rig", SLOW)
    process = rig.start()
    wait_for(begun(rig, chance.randint(10, 400)), process, SECONDS)
    process.send_signal(signal.SIGTERM)
    run = ended(process, 30)
    assert run.code == 143 and "run the study again" in run.output, run.output
    assert rig.run(seconds=SECONDS).code == 0
    rig.check()
    _nothing_twice(rig)


def _nothing_twice(rig: RayRig) -> None:
    assert all(repeated <= in_flight for repeated, in_flight in rig.repeated())
