"""The available resources: nodes of the connected cluster, or this machine before Ray is started."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.resources.nvml import gpu_uuids

GIB = 2**30
CGROUP = Path("/sys/fs/cgroup")
LAUNCHER_CONFIG_VARIABLE = "EVOLGRID_LAUNCHED"  # set in pods: the part of it that evolgrid needs
# Ray's launcher writes its configuration to this file on the head node
LAUNCHER_CONFIG_FILE = Path("~/ray_bootstrap_config.yaml")


@dataclass(frozen=True, slots=True)
class Node:
    """One node. `accelerator` is Ray's accelerator type of its GPUs, such as "H100"."""

    name: str
    cpus: float
    gpus: float
    memory_bytes: int
    accelerator: str | None = None


@dataclass(frozen=True, slots=True)
class Inventory:
    """All nodes, and the sums of their resources."""

    nodes: tuple[Node, ...]

    @property
    def cpus(self) -> int:
        """Number of CPUs of all nodes, rounded down."""
        return int(sum(node.cpus for node in self.nodes))

    @property
    def gpus(self) -> int:
        """Number of GPUs of all nodes, rounded down."""
        return int(sum(node.gpus for node in self.nodes))

    @property
    def memory_bytes(self) -> int:
        """Bytes of memory that tasks may use on all nodes, without object stores."""
        return sum(node.memory_bytes for node in self.nodes)


def inventory() -> Inventory:
    """Return the live nodes of the connected cluster, with the resources that they report to Ray."""
    return Inventory(tuple(live_nodes().values()))


def live_nodes() -> dict[str, Node]:
    """Return the live nodes of the connected cluster by Ray's ids."""
    import ray

    return {record["NodeID"]: _node(record) for record in ray.nodes() if record["Alive"]}


def max_inventory() -> Inventory:
    """Return the nodes that the autoscaler may start if they are more than the live nodes, else the live nodes.

    The autoscaler's limits are known only on its head node.
    """
    present = inventory()
    grown = Inventory(tuple(_launchable_nodes()))
    return grown if (grown.gpus, grown.cpus) > (present.gpus, present.cpus) else present


def _launchable_nodes() -> list[Node]:
    """Return all nodes that the autoscaler may start, from the launcher's configuration; none without one."""
    path, launcher_config = LAUNCHER_CONFIG_FILE.expanduser(), os.environ.get(LAUNCHER_CONFIG_VARIABLE)
    if not launcher_config and not path.is_file():
        return []
    from ruamel.yaml import YAML

    config = YAML(typ="safe").load(launcher_config or path.read_text())
    limit = int(config.get("max_workers", 2)) + 1
    return [node for name, kind in config["available_node_types"].items() for node in _nodes_of_type(name, kind, limit)]


def machine() -> Inventory:
    """Return this machine's resources within CPU affinity, container limits and CUDA_VISIBLE_DEVICES, without Ray."""
    return Inventory((Node(os.uname().nodename, _cpus(), len(visible_gpus()), _memory()),))


def visible_gpus() -> list[str]:
    """Return the GPUs of this machine that this process may use, each by its index or UUID, in torch's order."""
    present = gpu_uuids()
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is None:
        return present
    names = [name.strip() for name in allowed.split(",") if name.strip() not in ("", "-1", "NoDevFiles")]
    return names[: len(present)]


def _node(record: dict[str, object]) -> Node:
    resources = record["Resources"]
    assert isinstance(resources, dict)
    return _node_of_type(str(record["NodeName"]), resources)


def _node_of_type(name: str, resources: Mapping[str, Any]) -> Node:
    """Return a node with this name and Ray's resources."""
    accelerator_types = [
        key.removeprefix("accelerator_type:") for key in resources if key.startswith("accelerator_type:")
    ]
    memory = int(resources.get("memory", 0))
    return Node(
        name,
        resources.get("CPU", 0.0),
        resources.get("GPU", 0.0),
        memory,
        accelerator_types[0] if accelerator_types else None,
    )


def _nodes_of_type(name: str, node_type: dict[str, Any], limit: int) -> list[Node]:
    """Return the maximum number of nodes of one type of the launcher's configuration."""
    return [_node_of_type(name, node_type.get("resources", {}))] * min(
        int(node_type.get("max_workers", limit)) or 1, limit
    )


def _cpus() -> int:
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _cgroup("cpu.max").partition(" ")
    if quota.isdigit():
        cpus = min(cpus, max(1, math.ceil(int(quota) / int(period))))
    return cpus


def _memory() -> int:
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _cgroup("memory.max")
    return min(physical, int(limit)) if limit.isdigit() else physical


def _cgroup(name: str) -> str:
    """Return a limit of this container ("max" for none); "" without cgroup v2."""
    try:
        return (CGROUP / name).read_text().strip()
    except OSError:
        return ""
