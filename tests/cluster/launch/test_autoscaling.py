"""Ray's own autoscaler launches the right nodes from the rendered files, for KubeRay and for `ray up`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.kuberay.autoscaling_config import (
    _generate_available_node_types_from_ray_cr_spec as kuberay_node_types,  # pyright: ignore[reportPrivateUsage]
)
from ray.autoscaler.v2.instance_manager.config import NodeTypeConfig
from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
from ray.autoscaler.v2.utils import ResourceRequestUtil

from cluster.launch.description import Description, load
from cluster.launch.render import render
from cluster.resources import inventory
from cluster.resources.inventory import GIB, Inventory, max_inventory
from cluster.resources.packing import Bundle

TARGETS = ("kuberay", "aws", "gcp")


@pytest.fixture(scope="module")
def described() -> Description:
    return load()


def node_types(described: Description, target: Any) -> dict[str, Any]:
    """The node types as the autoscaler of the target reads them."""
    rendered = yaml.safe_load(render(described, target))
    return kuberay_node_types(rendered["spec"]) if target == "kuberay" else rendered["available_node_types"]


def launched(types: Mapping[str, Any], bundle: Bundle) -> tuple[dict[str, int], int]:
    """The nodes that an idle cluster launches for one bundle, and the number of bundles that can never be placed."""
    configs = {
        name: NodeTypeConfig(
            name=name,
            min_worker_nodes=kind.get("min_workers", 0),
            max_worker_nodes=kind.get("max_workers", 0),
            resources=kind["resources"],
            priority=kind.get("priority", 0),
        )
        for name, kind in types.items()
    }
    asked = ResourceRequestUtil.group_by_count([ResourceRequestUtil.make(bundle.resources())])
    request = SchedulingRequest(
        node_type_configs=configs, max_num_nodes=40, resource_requests=asked, disable_launch_config_check=True
    )
    reply = ResourceDemandScheduler(None).schedule(request)
    nodes = {one.instance_type.replace("_", "-"): one.count for one in reply.to_launch}
    return nodes, len(reply.infeasible_resource_requests)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("bundle", "node"),
    [
        (Bundle(1, 1, "H100"), "h100-spot"),
        (Bundle(1, 8, "H100"), "h100-spot"),
        (Bundle(1, 1, "L4"), "l4-spot"),
        (Bundle(1, 1), "l4-spot"),
        (Bundle(4, 0), "cpu-spot"),
    ],
)
def test_a_replica_gets_a_node_with_its_gpus(described: Description, target: str, bundle: Bundle, node: str) -> None:
    assert launched(node_types(described, target), bundle) == ({node: 1}, 0)


@pytest.mark.parametrize("target", TARGETS)
def test_a_gpu_that_no_node_has_is_infeasible(described: Description, target: str) -> None:
    assert launched(node_types(described, target), Bundle(1, 1, "H200")) == ({}, 1)


@pytest.mark.parametrize("target", TARGETS)
def test_a_run_knows_the_memory_of_nodes_that_may_start(
    described: Description, target: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = yaml.safe_load(render(described, target))
    if target == "kuberay":
        (config,) = [
            each["value"]
            for each in rendered["spec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["env"]
            if each["name"] == inventory.LAUNCHER_CONFIG_VARIABLE
        ]
    else:
        config = yaml.safe_dump(rendered)
    monkeypatch.setenv(inventory.LAUNCHER_CONFIG_VARIABLE, config)
    monkeypatch.setattr(inventory, "inventory", lambda: Inventory(()))
    by_gpu = {node.accelerator: node.memory_bytes for node in max_inventory().nodes if node.cpus}
    machines = {worker.gpu: worker.memory_gib * GIB for worker in described.workers}
    assert by_gpu.keys() == machines.keys()
    assert all(0.65 * machines[gpu] < memory < machines[gpu] for gpu, memory in by_gpu.items())


def test_kuberays_autoscaler_and_a_run_on_the_head_count_the_same_memory(described: Description) -> None:
    types = node_types(described, "kuberay")
    for worker in described.workers:
        memory = types[f"{worker.name}-spot"]["resources"]["memory"]
        assert memory == int(0.9 * worker.memory_gib) * GIB
