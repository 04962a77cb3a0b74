"""Requests that never fit are reported together with the largest node; those that can run in turns are valid."""

from __future__ import annotations

import pytest

from cluster.resources.inventory import Inventory, Node
from cluster.resources.placement import ResourceRequest, check_fits

SMALL = Node("small", cpus=8, gpus=0, memory_bytes=2**35)
LARGE = Node("large", cpus=96, gpus=8, memory_bytes=2**40)
CLUSTER = Inventory((SMALL, LARGE))


@pytest.mark.parametrize(
    "request_",
    [
        ResourceRequest("whole node", cpus=96, gpus=8),
        ResourceRequest("fractions", cpus=0.1, gpus=0.1, replicas=80),
        ResourceRequest("on all nodes", cpus=8, gpus=0, replicas=13),
        ResourceRequest("asks for nothing", cpus=0, gpus=0, replicas=1000),
    ],
)
def test_what_fits_an_idle_cluster_passes(request_: ResourceRequest) -> None:
    assert check_fits([request_], CLUSTER) == []


def test_more_models_than_gpus_is_no_error() -> None:
    assert check_fits([ResourceRequest(f"model {i}", cpus=1, gpus=8) for i in range(20)], CLUSTER) == []


def test_too_large_for_every_node_names_the_largest() -> None:
    [message] = check_fits([ResourceRequest("giant", cpus=1, gpus=16)], CLUSTER)
    assert message == "giant asks for 1 CPUs and 16 GPUs on one node; the largest is large with 96 CPUs and 8 GPUs"


def test_resources_of_several_nodes_do_not_add_up() -> None:
    assert len(check_fits([ResourceRequest("wide", cpus=100, gpus=0)], CLUSTER)) == 1


def test_too_many_replicas_tells_how_many_fit() -> None:
    [message] = check_fits([ResourceRequest("pool", cpus=1, gpus=2, replicas=5)], CLUSTER)
    assert "room for 4" in message


def test_empty_cluster_holds_nothing() -> None:
    [message] = check_fits([ResourceRequest("any", cpus=1, gpus=0)], Inventory(()))
    assert message.endswith("the cluster has no nodes")


def test_a_spread_worker_takes_gpus_of_several_nodes() -> None:
    two = Inventory((LARGE, LARGE))
    assert len(check_fits([ResourceRequest("wide", cpus=1, gpus=16)], two)) == 1
    assert check_fits([ResourceRequest("wide", cpus=1, gpus=16, spread=True)], two) == []


def test_spread_workers_share_what_all_nodes_have() -> None:
    nodes = Inventory(tuple(Node(f"node {i}", cpus=32, gpus=3.5, memory_bytes=2**38) for i in range(4)))
    assert check_fits([ResourceRequest("pool", cpus=1, gpus=4, replicas=3, spread=True)], nodes) == []
    [message] = check_fits([ResourceRequest("pool", cpus=1, gpus=4, replicas=4, spread=True)], nodes)
    assert "room for 3" in message  # whole GPUs only: 4 x 3
    [message] = check_fits([ResourceRequest("pool", cpus=1, gpus=13, spread=True)], nodes)
    assert message.startswith("pool asks for 1 CPUs and 13 GPUs on one node")


def test_spreading_does_not_help_a_worker_of_one_gpu_or_none() -> None:
    assert len(check_fits([ResourceRequest("wide", cpus=100, gpus=0, spread=True)], CLUSTER)) == 1
    assert len(check_fits([ResourceRequest("wide", cpus=100, gpus=1, spread=True)], CLUSTER)) == 1
