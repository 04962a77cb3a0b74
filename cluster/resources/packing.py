"""Whether bundles of CPUs and GPUs have room on nodes: first-fit decreasing, the fullest nodes first.

Nodes that are alike are placed on together, so hundreds of nodes of a few kinds cost no more than a few.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from cluster.resources.inventory import Node

MIN_CPUS = 0.001  # Ray takes no empty bundle
ACCELERATOR = "accelerator_type:"  # Ray's resource, of which every node with such GPUs has one
MIN_ACCELERATOR_UNIT = 0.001
TOLERANCE = 1e-6  # shares are sums of fractions
ROUNDING_DIGITS = 6  # what is left is rounded to so many, so that nodes that are alike stay so


class Bundle(NamedTuple):
    """CPUs and GPUs that lie on one node. GPUs are a part of one, or whole ones, of a `accelerator_type` or of any
    ("")."""

    cpus: float
    gpus: float
    accelerator_type: str = ""

    def resources(self) -> dict[str, float]:
        """In Ray's words."""
        gpus = {"GPU": self.gpus} if self.gpus else {}
        return (
            {"CPU": self.cpus}
            | gpus
            | ({ACCELERATOR + self.accelerator_type: MIN_ACCELERATOR_UNIT} if self.accelerator_type else {})
        )

    @classmethod
    def from_resources(cls, resources: Mapping[str, float]) -> Bundle:
        """From Ray's words."""
        accelerator_type = next(
            (name.removeprefix(ACCELERATOR) for name in resources if name.startswith(ACCELERATOR)), ""
        )
        return cls(resources["CPU"], resources.get("GPU", 0), accelerator_type)


class FreeNode(NamedTuple):
    """What is left of a node: untouched GPUs, the rest of each GPU that parts were taken of (ascending), and CPUs.

    `accelerator_type` is that of its GPUs.
    """

    gpus: int
    partial_gpus: tuple[float, ...]
    cpus: float
    accelerator_type: str = ""

    def without(self, bundle: Bundle) -> FreeNode | None:
        """What is left beside one more bundle; None if it has no room."""
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
    """What one replica takes where nodes have at most `max_gpus` GPUs: one bundle, or one for each of more GPUs."""
    if gpus <= max(max_gpus, 1):
        return [Bundle(max(cpus, MIN_CPUS), gpus, accelerator_type)]
    return [Bundle(max(cpus / gpus, MIN_CPUS), 1, accelerator_type)] * int(gpus)


def max_gpus_per_node(nodes: Iterable[Node], accelerator_type: str = "") -> float:
    """The most GPUs that a node has, of a kind or of any."""
    return max((node.gpus for node in nodes if accelerator_type in ("", node.accelerator)), default=0.0)


def free_nodes(nodes: Iterable[Node]) -> Counter[FreeNode]:
    """Idle nodes, counted by their sizes."""
    return Counter(FreeNode(int(node.gpus), (), float(node.cpus), node.accelerator or "") for node in nodes)


def fits(wanted: Mapping[Bundle, int], nodes: Mapping[FreeNode, int]) -> bool:
    """Whether so many of each bundle have room side by side on so many of each node."""
    free = Counter(nodes)
    for bundle, count in sorted(
        wanted.items(), key=lambda each: (not each[0].accelerator_type, -each[0].gpus, -each[0].cpus)
    ):
        if _place_bundles(bundle, count, free) < count:
            return False
    return True


def max_replicas_that_fit(bundle: Bundle, limit: int, nodes: Mapping[FreeNode, int]) -> int:
    """How many of `limit` equal bundles have room."""
    return _place_bundles(bundle, limit, Counter(nodes))


def _place_bundles(bundle: Bundle, count: int, free: Counter[FreeNode]) -> int:
    """Put equal bundles on nodes, and return how many had room."""
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
    """A node with as many of `limit` bundles as it holds, and how many these are."""
    for placed in range(limit):
        after = node.without(bundle)
        if after is None:
            return node, placed
        node = after
    return node, limit
