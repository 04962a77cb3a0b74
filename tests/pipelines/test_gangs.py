"""Gangs run when all of them fits, the longest first, and one that fails holds back none of the others."""

from __future__ import annotations

import random
import threading
import time

import pytest

from actors.berth import Share
from pipelines.gangs import Gang, run_gangs


class Cluster:
    """Notes what runs at the same time."""

    def __init__(self) -> None:
        self.lock, self.started, self.now, self.most = threading.Lock(), [], Share(0, 0), Share(0, 0)

    def gang(self, name: str, cpus: float, gpus: float, seconds: float, after: tuple[Gang, ...] = ()) -> Gang:
        def work() -> tuple[Gang, ...]:
            self.change(name, cpus, gpus)
            time.sleep(seconds / 100)
            self.change("", -cpus, -gpus)
            return after

        return Gang(Share(cpus, gpus), seconds, work)

    def change(self, name: str, cpus: float, gpus: float) -> None:
        with self.lock:
            self.started += [name] if name else []
            self.now = Share(self.now.cpus + cpus, self.now.gpus + gpus)
            self.most = Share(max(self.most.cpus, self.now.cpus), max(self.most.gpus, self.now.gpus))


def test_the_longest_start_first_and_others_fill_the_room() -> None:
    cluster = Cluster()
    sizes = [("short", 1, 0.25, 1), ("long", 1, 4, 5), ("middle", 1, 2, 3), ("wide", 1, 8, 2)]
    run_gangs([cluster.gang(*size) for size in sizes], Share(16, 8))
    assert cluster.started[:3] == ["long", "middle", "short"], "the wide one does not fit beside them"
    assert cluster.started[3] == "wide"


@pytest.mark.parametrize("seed", range(5))
def test_many_gangs_of_all_sizes_end_and_never_take_more_than_there_is(seed: int) -> None:
    chance, cluster = random.Random(seed), Cluster()
    gangs = [
        cluster.gang(f"{n}", chance.choice([0.5, 1, 4, 8]), chance.choice([0, 0.25, 0.5, 1, 2, 8]), chance.random())
        for n in range(60)
    ]
    run_gangs(gangs, Share(16, 8))
    assert len(cluster.started) == 60
    assert cluster.most.cpus <= 16 and cluster.most.gpus <= 8
    assert cluster.most.gpus > 6, "what fits runs side by side"


def test_what_comes_of_a_gang_runs_too() -> None:
    cluster = Cluster()
    again = tuple(cluster.gang(f"again {n}", 1, 0, 1) for n in range(3))
    run_gangs([cluster.gang("first", 1, 0, 1, again), cluster.gang("other", 1, 0, 2)], Share(2, 0))
    assert sorted(cluster.started) == ["again 0", "again 1", "again 2", "first", "other"]


def test_a_gang_larger_than_the_cluster_runs_alone() -> None:
    cluster = Cluster()
    run_gangs([cluster.gang("huge", 64, 0, 1), cluster.gang("small", 1, 0, 2)], Share(2, 0))
    assert cluster.started == ["small", "huge"]


def test_an_unforeseen_error_is_raised() -> None:
    def broken() -> tuple[Gang, ...]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_gangs([Gang(Share(1, 0), 1, broken), Cluster().gang("other", 1, 0, 1)], Share(2, 0))


def test_what_runs_now_is_told_whenever_it_changes() -> None:
    cluster, told = Cluster(), list[float]()
    gangs = [cluster.gang(f"{n}", 1, 4, n + 1) for n in range(3)]
    run_gangs(gangs, Share(16, 8), lambda shares: told.append(sum(share.gpus for share in shares)))
    assert told[0] == 8 and told[-1] == 4, "two side by side, then the last one"
