"""Gangs run when all of them fits, the longest first, and one that fails holds back none of the others."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence

import pytest

from cluster.resources.inventory import Inventory, Node
from cluster.resources.placement import ClusterCapacity, ResourceRequest
from pipelines.execution.training.gang_scheduler import Gang, schedule_gangs
from pipelines.planning.requests import FreeCapacity, capacity_beside_evaluator
from tests.support.timing import PATIENCE


def room(cpus: float, *gpus: float) -> FreeCapacity:
    """Return one node per value of `gpus`, with that number of GPUs and `cpus` CPUs."""
    return FreeCapacity(
        ClusterCapacity(Inventory(tuple(Node(f"node {n}", cpus, each, 0) for n, each in enumerate(gpus))))
    )


class Cluster:
    """Notes what runs at the same time."""

    def __init__(self) -> None:
        self.lock, self.started, self.now, self.most = threading.Lock(), [], (0.0, 0.0), (0.0, 0.0)

    def gang(self, name: str, cpus: float, gpus: float, seconds: float, after: tuple[Gang, ...] = ()) -> Gang:
        def work() -> tuple[Gang, ...]:
            self.change(name, cpus, gpus)
            time.sleep(seconds / 100)
            self.change("", -cpus, -gpus)
            return after

        return Gang(ResourceRequest("gang", cpus, gpus), seconds, work)

    def change(self, name: str, cpus: float, gpus: float) -> None:
        with self.lock:
            self.started += [name] if name else []
            self.now = (self.now[0] + cpus, self.now[1] + gpus)
            self.most = (max(self.most[0], self.now[0]), max(self.most[1], self.now[1]))


def test_the_longest_start_first_and_others_fill_the_room() -> None:
    cluster = Cluster()
    sizes = [("short", 1, 0.25, 1), ("long", 1, 4, 5), ("middle", 1, 2, 3), ("wide", 1, 8, 2)]
    gpus = list[list[float]]()
    schedule_gangs(
        [cluster.gang(*size) for size in sizes],
        room(16, 8),
        lambda running: gpus.append([request.gpus for request in running]),
    )
    assert gpus[0] == [4, 2, 0.25], "the wide one does not fit beside them"
    assert cluster.started[3] == "wide"


@pytest.mark.parametrize("seed", range(5))
def test_many_gangs_of_all_sizes_end_and_never_take_more_than_there_is(seed: int) -> None:
    chance, cluster = random.Random(seed), Cluster()
    gangs = [
        cluster.gang(f"{n}", chance.choice([0.5, 1, 4, 8]), chance.choice([0, 0.25, 0.5, 1, 2, 8]), chance.random())
        for n in range(60)
    ]
    gpus = list[float]()
    schedule_gangs(gangs, room(16, 8), lambda running: gpus.append(sum(request.gpus for request in running)))
    assert len(cluster.started) == 60
    assert cluster.most[0] <= 16 and cluster.most[1] <= 8
    assert 6 < max(gpus) <= 8, "what fits runs side by side"


def test_what_comes_of_a_gang_runs_too() -> None:
    cluster = Cluster()
    again = tuple(cluster.gang(f"again {n}", 1, 0, 1) for n in range(3))
    schedule_gangs([cluster.gang("first", 1, 0, 1, again), cluster.gang("other", 1, 0, 2)], room(2, 0))
    assert sorted(cluster.started) == ["again 0", "again 1", "again 2", "first", "other"]


def test_a_gang_larger_than_the_cluster_runs_alone() -> None:
    cluster = Cluster()
    schedule_gangs([cluster.gang("huge", 64, 0, 1), cluster.gang("small", 1, 0, 2)], room(2, 0))
    assert cluster.started == ["small", "huge"]


def test_an_unforeseen_error_is_raised() -> None:
    def broken() -> tuple[Gang, ...]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        schedule_gangs([Gang(ResourceRequest("gang", 1, 0), 1, broken), Cluster().gang("other", 1, 0, 1)], room(2, 0))


def test_what_runs_now_is_told_whenever_it_changes() -> None:
    alone, told = threading.Event(), list[float]()

    def tell(running: Sequence[ResourceRequest]) -> None:
        told.append(sum(each.gpus for each in running))
        if told[-1] == 4:
            alone.set()

    def last() -> tuple[Gang, ...]:
        assert alone.wait(PATIENCE)
        return ()

    cluster = Cluster()
    gangs = [cluster.gang(f"{n}", 1, 4, n + 1) for n in range(2)]
    schedule_gangs([*gangs, Gang(ResourceRequest("gang", 1, 4), 0, last)], room(16, 8), tell)
    assert told[0] == 8 and told[-1] == 4, "two side by side, then the last one"


def test_gangs_have_room_on_single_nodes() -> None:
    cluster, gpus = Cluster(), list[float]()
    gangs = [cluster.gang(f"{n}", 1, 5, 1) for n in range(5)]
    schedule_gangs(gangs, room(16, 8, 8), lambda running: gpus.append(sum(request.gpus for request in running)))
    assert max(gpus) == 10, "one on each node, though the sum of both has room for three"


def test_all_workers_of_a_gang_are_placed_at_once() -> None:
    here = room(16, 4, 4)
    assert here.fits([ResourceRequest("workers", 1, 2, replicas=4)])
    assert not here.fits([ResourceRequest("workers", 1, 3, replicas=2), ResourceRequest("other", 1, 2)])


def test_what_comes_of_a_gang_goes_before_those_that_wait() -> None:
    cluster = Cluster()
    after = (cluster.gang("evaluation", 1, 0, 1),)
    gangs = [cluster.gang("long", 1, 0, 3, after), *(cluster.gang(f"short {n}", 1, 0, 2) for n in range(3))]
    schedule_gangs(gangs, room(1, 0))
    assert cluster.started[:2] == ["long", "evaluation"]


def test_an_examiner_stays_only_where_the_largest_training_fits_beside_it() -> None:
    examiner, large = ResourceRequest("examiner", 1, 1), ResourceRequest("training", 1, 1, replicas=4)
    assert capacity_beside_evaluator(examiner, [large], room(16, 4, 1).cluster).reserved == (examiner,)
    assert capacity_beside_evaluator(examiner, [large], room(16, 4).cluster).reserved == ()
    assert capacity_beside_evaluator(examiner, [ResourceRequest("training", 1, 1)], room(16, 1).cluster).reserved == ()
