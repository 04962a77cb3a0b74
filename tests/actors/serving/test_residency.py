"""Models come and go as phases need them: they sleep and wake without a load, and hand on what they held."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import pytest
import ray

from actors.engine import LoadError
from actors.serving.replica_handle import NAMESPACE
from actors.serving.residency import ModelResidency, ResidentModel
from actors.serving.spec import PoolSpec, ReplicaResources
from tests.actors.serving.pools import ask, free_cpus, groups, ids, scripted
from tests.support.gpus import simulating_gpus
from tests.support.timing import until

pytestmark = pytest.mark.usefixtures("ray_local")
ROOT = Path(__file__).parents[3]
SHARES = {"a": 2, "b": 2, "c": 2, "d": 4}


def part(name: str, cpus: float) -> ResidentModel:
    terms = PoolSpec(scripted(name), f"stage/{name}", ReplicaResources(cpus), heartbeat_timeout=3.0, stall_timeout=3.0)
    return ResidentModel(terms, weight_bytes=10)


class Watched:
    """A stage of a, b, c (half of the cluster each) and d (all of it), with room for two that sleep."""

    def __init__(self, host_bytes: int = 25) -> None:
        parts = {name: part(name, cpus) for name, cpus in SHARES.items()}
        self.stage = ModelResidency(parts, lambda node: host_bytes)

    def enter(self, models: Collection[str], *later: Collection[str]) -> dict[str, int]:
        """How often each model of the phase has been loaded so far in the pool that it has."""
        pools = self.stage.activate(models, later, 90)
        assert all(len(ids(ask(pool.client(), 3))) == 3 for pool in pools.values())
        return {name: pool.stats().totals.loads for name, pool in pools.items()}

    def pids(self, models: Collection[str], *later: Collection[str]) -> Sequence[int]:
        return [pid for pool in self.stage.activate(models, later, 90).values() for pid in pool.stats().pids]


@pytest.fixture
def watched() -> Iterator[Watched]:
    watched = Watched()
    try:
        yield watched
    finally:
        watched.stage.close()
        until(lambda: free_cpus() == 4 and not groups("stage/a") | groups("stage/b") | groups("stage/c"))


def test_a_model_that_is_needed_later_sleeps_and_wakes_without_a_load(watched: Watched) -> None:
    before = watched.pids(["a", "b"], ["c"], ["a", "b"])
    assert watched.enter(["a", "c"], ["a", "b"], ["d"]) == {"a": 1, "c": 1}
    until(lambda: free_cpus() == 0)  # c uses the reservation of b, which is asleep
    assert len(groups("stage/b")) == 1 and not groups("stage/c")
    assert watched.enter(["a", "b"], ["d"]) == {"a": 1, "b": 1}
    assert watched.pids(["a", "b"], ["d"]) == before
    with pytest.raises(ValueError, match="Failed to look up actor"):
        ray.get_actor("stage/c", namespace=NAMESPACE)  # it was no longer needed


def test_a_model_of_another_share_ends_those_that_sleep_in_its_way(watched: Watched) -> None:
    first = watched.pids(["a"], ["d"], ["a"])
    assert watched.enter(["d"], ["a"]) == {"d": 1}
    assert not groups("stage/a")
    assert watched.enter(["a"]) == {"a": 1}
    assert watched.pids(["a"]) != first  # it was loaded again
    until(lambda: free_cpus() == 2)  # and d's reservation was released


def test_more_weights_than_host_memory_holds_do_not_sleep() -> None:
    watched = Watched(host_bytes=15)
    try:
        first = watched.pids(["a", "b"], ["c"], ["a", "b"])
        watched.enter(["c"], ["a", "b"])
        again = watched.pids(["a", "b"])
        assert len(set(first) & set(again)) == 1  # one of the two could sleep
    finally:
        watched.stage.close()
    until(lambda: free_cpus() == 4)


def test_a_model_that_rested_is_there_again_in_the_next_phase(watched: Watched) -> None:
    watched.enter(["d"], ["d"])
    pool = watched.stage.activate(["d"], [["d"]], 90)["d"]
    pool.scale_to_zero()
    until(lambda: pool.stats().replicas == 0)
    assert watched.enter(["d"]) == {"d": 2}


def test_a_model_that_died_in_its_sleep_is_loaded_again(watched: Watched) -> None:
    pids = watched.pids(["a"], ["b"], ["a"])
    watched.enter(["b"], ["a"])
    os.kill(pids[0], signal.SIGKILL)
    assert watched.enter(["a"]) == {"a": 2}


def test_a_model_that_dies_when_it_should_sleep_ends_no_run(watched: Watched) -> None:
    pids = watched.pids(["a"], ["b"], ["a"])
    os.kill(pids[0], signal.SIGKILL)
    assert watched.enter(["b"], ["a"]) == {"b": 1}
    assert watched.enter(["a"]) == {"a": 2}


def test_a_model_that_has_no_room_is_an_error(watched: Watched) -> None:
    stage = ModelResidency({"wide": part("wide", 2), "wider": part("wider", 3)}, lambda node: 0)
    try:
        with pytest.raises(LoadError, match="not ready after 2 s"):
            stage.activate(["wide", "wider"], [], 2)
    finally:
        stage.close()


GPUS = """
import os, ray, sys
from actors.serving.spec import ReplicaResources
from actors.serving.pool import Pool
from actors.serving.spec import PoolSpec
from actors.serving.residency import ModelResidency, ResidentModel
from tests.actors.serving.pools import ask, scripted

ray.init(address="local", num_cpus=2, num_gpus=4, include_dashboard=False, logging_level="ERROR", log_to_driver=False)

def visible(pool):
    replica = ray.get_actor(f"{pool.pool_spec.name}/0", namespace="evolgrid-engines")
    return ray.get(replica.__ray_call__.remote(lambda _: os.environ["CUDA_VISIBLE_DEVICES"]))

shares = {"one": 1, "two": 2, "other": 2, "none": 0}
models = {
    name: ResidentModel(PoolSpec(scripted(name), name, ReplicaResources(0.1, gpus)))
    for name, gpus in shares.items()
}
residency = ModelResidency(models, lambda node: 100)
first = residency.activate(["one", "two", "none"], [["other"], ["two"]], 90)
print(*(visible(pool) or "-" for pool in first.values()), ray.available_resources().get("GPU", 0), flush=True)
second = residency.activate(["one", "other"], [["two"]], 90)
print(*map(visible, second.values()), ray.available_resources().get("GPU", 0), flush=True)
residency.close()
"""


def test_gpus_are_handed_on_with_the_berth() -> None:
    command = [sys.executable, "-c", GPUS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, env=simulating_gpus())
    assert done.returncode == 0, done.stderr
    (one, two, none, free), (still_one, other, free_later) = map(str.split, done.stdout.splitlines())
    assert (len(one.split(",")), len(two.split(",")), none) == (1, 2, "-")
    assert not set(one.split(",")) & set(two.split(","))
    assert (still_one, other) == (one, two)
    assert float(free) == float(free_later) == 1
