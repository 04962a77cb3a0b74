"""What there is to work with: the nodes of the connected cluster, or this machine before anything is started."""

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
LAUNCHER_CONFIG_VARIABLE = "EVOLGRID_LAUNCHED"  # where ours leaves as much of it in pods: a variable
LAUNCHER_CONFIG_FILE = Path(
    "~/ray_bootstrap_config.yaml"
)  # where Ray's launcher leaves its configuration on the head node


@dataclass(frozen=True, slots=True)
class Node:
    """One machine. `accelerator` is the GPU's model name as Ray tells it, such as "H100"."""

    name: str
    cpus: float
    gpus: float
    memory_bytes: int
    accelerator: str | None = None


@dataclass(frozen=True, slots=True)
class Inventory:
    """All machines, and their sums."""

    nodes: tuple[Node, ...]

    @property
    def cpus(self) -> int:
        """Whole CPUs of all nodes."""
        return int(sum(node.cpus for node in self.nodes))

    @property
    def gpus(self) -> int:
        """Whole GPUs of all nodes."""
        return int(sum(node.gpus for node in self.nodes))

    @property
    def memory_bytes(self) -> int:
        """Memory of all nodes that tasks may use, without object stores."""
        return sum(node.memory_bytes for node in self.nodes)


def inventory() -> Inventory:
    """Return the living nodes of the connected cluster, as large as they told Ray they are."""
    return Inventory(tuple(live_nodes().values()))


def live_nodes() -> dict[str, Node]:
    """Return the living nodes of the connected cluster by Ray's ids."""
    import ray

    return {record["NodeID"]: _node(record) for record in ray.nodes() if record["Alive"]}


def max_inventory() -> Inventory:
    """Return the living nodes, or those that the cluster's autoscaler can make of it where we run on its head node."""
    present = inventory()
    grown = Inventory(tuple(_launchable_nodes()))
    return grown if (grown.gpus, grown.cpus) > (present.gpus, present.cpus) else present


def _launchable_nodes() -> list[Node]:
    """All nodes that the cluster's autoscaler may start, as the launcher has told its head; none if it has not."""
    path, launcher_config = LAUNCHER_CONFIG_FILE.expanduser(), os.environ.get(LAUNCHER_CONFIG_VARIABLE)
    if not launcher_config and not path.is_file():
        return []
    from ruamel.yaml import YAML

    config = YAML(typ="safe").load(launcher_config or path.read_text())
    limit = int(config.get("max_workers", 2)) + 1
    return [node for name, kind in config["available_node_types"].items() for node in _nodes_of_type(name, kind, limit)]


def machine() -> Inventory:
    """Return this machine without Ray: what affinity, container limits and CUDA_VISIBLE_DEVICES leave to us."""
    return Inventory((Node(os.uname().nodename, _cpus(), len(_visible_gpus()), _memory()),))


def _node(record: dict[str, object]) -> Node:
    resources = record["Resources"]
    assert isinstance(resources, dict)
    return _node_of_type(str(record["NodeName"]), resources)


def _node_of_type(name: str, resources: Mapping[str, Any]) -> Node:
    """A node by its name and Ray's resources."""
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
    """Return all nodes that one type of the launcher's configuration may have."""
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
    """Return a limit of this container ("max" for none); "" where there is no cgroup v2."""
    try:
        return (CGROUP / name).read_text().strip()
    except OSError:
        return ""


def _visible_gpus() -> list[str]:
    present = gpu_uuids()
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is None:
        return present
    names = [name.strip() for name in allowed.split(",") if name.strip() not in ("", "-1", "NoDevFiles")]
    return names[: len(present)]
