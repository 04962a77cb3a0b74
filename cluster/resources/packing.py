"""Whether bundles of CPUs and GPUs fit on nodes: first-fit decreasing, the fullest nodes first.

Identical nodes are processed together, so the cost grows with the number of different nodes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from cluster.resources.inventory import Node

MIN_CPUS = 0.001  # Ray rejects empty bundles
ACCELERATOR = "accelerator_type:"  # Ray's resource: 1 on every node with such GPUs
MIN_ACCELERATOR_UNIT = 0.001
TOLERANCE = 1e-6  # resources are sums of fractions
ROUNDING_DIGITS = 6  # of remaining resources, so that identical nodes stay identical


class Bundle(NamedTuple):
    """CPUs and GPUs of one node: a fraction of a GPU or whole GPUs, of an `accelerator_type` or any ("")."""

    cpus: float
    gpus: float
    accelerator_type: str = ""

    def resources(self) -> dict[str, float]:
        """Return the bundle as Ray resources."""
        gpus = {"GPU": self.gpus} if self.gpus else {}
        return (
            {"CPU": self.cpus}
            | gpus
            | ({ACCELERATOR + self.accelerator_type: MIN_ACCELERATOR_UNIT} if self.accelerator_type else {})
        )

    @classmethod
    def from_resources(cls, resources: Mapping[str, float]) -> Bundle:
        """Return the bundle with these Ray resources."""
        accelerator_type = next(
            (name.removeprefix(ACCELERATOR) for name in resources if name.startswith(ACCELERATOR)), ""
        )
        return cls(resources["CPU"], resources.get("GPU", 0), accelerator_type)


class FreeNode(NamedTuple):
    """The free resources of a node: unused GPUs, the free fraction of each shared GPU (ascending), and CPUs.

    `accelerator_type` is the type of its GPUs.
    """

    gpus: int
    partial_gpus: tuple[float, ...]
    cpus: float
    accelerator_type: str = ""

    def without(self, bundle: Bundle) -> FreeNode | None:
        """Return the node with one more bundle placed on it; None if the bundle does not fit."""
        if bundle.accelerator_type not in ("", self.accelerator_type):
            return None
        gpus, parts, cpus = self.gpus, self.partial_gpus, round(self.cpus - bundle.cpus, ROUNDING_DIGITS)
        if bundle.gpus >= 1:
            gpus -= math.ceil(bundle.gpus - TOLERANCE)
        elif bundle.gpus:
            fitting = next((part for part in parts if part >= bundle.gpus - TOLERANCE), 1.0)
            if fitting in parts:
                parts = (*parts[: (at := parts.index(fitting))], *parts[at + 1 :])
            else:
                gpus -= 1
            parts = tuple(sorted((*parts, round(fitting - bundle.gpus, ROUNDING_DIGITS))))
        return FreeNode(gpus, parts, cpus, self.accelerator_type) if gpus >= 0 and cpus >= -TOLERANCE else None


def bundles(cpus: float, gpus: float, max_gpus: float, accelerator_type: str = "") -> list[Bundle]:
    """Return the bundles of one replica: one bundle, or one per GPU if a replica needs more than `max_gpus` GPUs."""
    if gpus <= max(max_gpus, 1):
        return [Bundle(max(cpus, MIN_CPUS), gpus, accelerator_type)]
    return [Bundle(max(cpus / gpus, MIN_CPUS), 1, accelerator_type)] * int(gpus)


def max_gpus_per_node(nodes: Iterable[Node], accelerator_type: str = "") -> float:
    """Return the largest number of GPUs of a node, of this accelerator type or any."""
    return max((node.gpus for node in nodes if accelerator_type in ("", node.accelerator)), default=0.0)


def free_nodes(nodes: Iterable[Node]) -> Counter[FreeNode]:
    """Return the number of idle nodes by their free resources."""
    return Counter(FreeNode(int(node.gpus), (), float(node.cpus), node.accelerator or "") for node in nodes)


def fits(wanted: Mapping[Bundle, int], nodes: Mapping[FreeNode, int]) -> bool:
    """Return whether all bundles fit on the nodes at the same time. Both mappings are counts."""
    free = Counter(nodes)
    for bundle, count in sorted(
        wanted.items(), key=lambda each: (not each[0].accelerator_type, -each[0].gpus, -each[0].cpus)
    ):
        if _place_bundles(bundle, count, free) < count:
            return False
    return True


def max_replicas_that_fit(bundle: Bundle, limit: int, nodes: Mapping[FreeNode, int]) -> int:
    """Return how many of `limit` equal bundles fit."""
    return _place_bundles(bundle, limit, Counter(nodes))


def _place_bundles(bundle: Bundle, count: int, free: Counter[FreeNode]) -> int:
    """Place `count` equal bundles on nodes, update `free`, and return how many were placed."""
    missing = count
    for node in sorted(free):
        while missing and free[node]:
            after, placed = _fill_node(node, bundle, missing)
            if not placed:
                break
            number = min(free[node], missing // placed)
            free[node] -= number
            free[after] += number
            missing -= number * placed
    return count - missing


def _fill_node(node: FreeNode, bundle: Bundle, limit: int) -> tuple[FreeNode, int]:
    """Return a node filled with up to `limit` bundles, and the number of bundles placed."""
    for placed in range(limit):
        after = node.without(bundle)
        if after is None:
            return node, placed
        node = after
    return node, limit
