"""The number of replicas follows the queue, and what is not needed is given back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.autoscaler.v2.sdk import get_cluster_status

from actors.serving import replica_set as crew
from actors.serving.pool import Pool
from actors.serving.replica_set import desired_replicas
from actors.serving.reservation import reserve
from actors.serving.spec import PoolSpec, ReplicaResources
from tests.actors.serving.pools import (
    ask,
    ask_all,
    free_cpus,
    groups,
    ids,
    in_router,
    pool_of,
    router_process,
    scripted,
)
from tests.support.timing import until

pytestmark = pytest.mark.usefixtures("ray_local")


@pytest.mark.parametrize(
    ("open_requests", "least", "replicas"), [(0, 1, 1), (0, 0, 0), (1, 0, 1), (8, 1, 1), (9, 1, 2), (1000, 1, 4)]
)
def test_a_replica_is_wanted_for_every_full_load_within_the_bounds(
    open_requests: int, least: int, replicas: int
) -> None:
    assert desired_replicas(open_requests, max_ongoing_requests=8, min_replicas=least, max_replicas=4) == replicas


def test_replicas_come_with_the_queue_go_when_idle_rest_at_zero_and_come_back(tmp_path: Path) -> None:
    async def answers_of_three(pool: Pool, texts: list[str]) -> list[Any]:
        asking = asyncio.create_task(ask_all(pool.client(), texts))
        await asyncio.to_thread(until, lambda: len(pool.stats().pids) == 3)
        (tmp_path / "go").touch()
        return await asking

    with pool_of(
        scripted(release=str(tmp_path / "go")),
        "scaled",
        resources=ReplicaResources(1),
        min_replicas=1,
        max_replicas=3,
        max_ongoing_requests=4,
    ) as pool:
        pool.wait_until_ready(60)
        assert pool.stats().replicas == 1
        until(lambda: free_cpus() == 3)
        in_router("scaled", lambda _: setattr(crew, "IDLE_TIMEOUT", 600.0))
        answers = asyncio.run(answers_of_three(pool, [f"Why? {i}" for i in range(120)]))
        assert len(ids(answers)) == 120
        assert len(groups("scaled")) == 3
        assert len(set(pool.stats().pids)) == 3  # idle ones are kept for a while
        in_router("scaled", lambda _: setattr(crew, "IDLE_TIMEOUT", 0.1))
        until(lambda: pool.stats().replicas == 1)
        assert pool.stats().totals.requests == 120  # including those of stopped replicas
        pool.scale_to_zero()
        until(lambda: pool.stats().replicas == 0 and free_cpus() == 4 and not groups("scaled"))
        assert len(ids(ask(pool.client(), 3))) == 3
        until(lambda: pool.stats().replicas == 0)  # it rests still
        pool.scale_up()
        pool.wait_until_ready(60)
        assert pool.stats().replicas == 1


def test_a_router_that_starts_again_after_scaling_takes_nothing_twice() -> None:
    with pool_of(scripted(), "restarted", resources=ReplicaResources(3), min_replicas=1, max_replicas=1) as pool:
        pool.wait_until_ready(60)
        pool.scale_to_zero()
        until(lambda: pool.stats().replicas == 0)
        pool.scale_up()
        pool.wait_until_ready(60)
        assert list(groups("restarted")) == ["restarted/1"]
        router_process("restarted").kill()
        assert len(ids(ask(pool.client(), 3))) == 3
        assert len(groups("restarted")) == 1
        until(lambda: free_cpus() == 1)


def test_a_replica_without_room_is_demand_for_the_autoscaler() -> None:
    with pool_of(scripted(), "demand", resources=ReplicaResources(3), min_replicas=2, max_replicas=2) as pool:
        until(lambda: pool.stats().pids != ())
        assert sorted(groups("demand").values()) == ["CREATED", "PENDING"]
        until(lambda: {"CPU": 3.0} in _demanded())
        assert len(ids(ask(pool.client(), 3))) == 3  # the other one works already
        pool.wait_until_ready(0.5)  # one is enough when time is up
    until(lambda: not groups("demand") and {"CPU": 3.0} not in _demanded())


def test_a_berth_of_the_driver_is_used_again_after_a_rest() -> None:
    berth = reserve(ReplicaResources(3), "lent/berth")
    pool = Pool(PoolSpec(scripted(), "lent", ReplicaResources(3)), reservations=[berth])
    try:
        pool.wait_until_ready(60)
        pool.scale_to_zero()
        until(lambda: pool.stats().replicas == 0)
        until(lambda: free_cpus() == 1)  # the driver's still
        pool.scale_up()
        pool.wait_until_ready(30)
        assert list(groups("lent")) == ["lent/berth"]
    finally:
        pool.close()
        berth.release()


def _demanded() -> list[dict[str, float]]:
    """Bundles of the placement groups that the cluster's autoscaler is asked to make room for."""
    status = get_cluster_status(ray.get_runtime_context().gcs_address)
    gangs = status.resource_demands.placement_group_demand
    return [dict(bundle.bundle) for gang in gangs for bundle in gang.bundles_by_count]
