"""Whether bundles of CPUs and GPUs have room on nodes: first-fit decreasing, the fullest nodes first.

Nodes that are alike are placed on together, so hundreds of nodes of a few kinds cost no more than a few.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from cluster.inventory import Node

LEAST_CPUS = 0.001  # Ray takes no empty bundle
SLACK = 1e-6  # shares are sums of fractions
DIGITS = 6  # what is left is rounded to so many, so that nodes that are alike stay so


class Bundle(NamedTuple):
    """CPUs and GPUs that lie on one node. GPUs are a part of one, or whole ones."""

    cpus: float
    gpus: float

    def resources(self) -> dict[str, float]:
        """In Ray's words."""
        return {"CPU": self.cpus} | ({"GPU": self.gpus} if self.gpus else {})


class Left(NamedTuple):
    """What is left of a node: untouched GPUs, the rest of each GPU that parts were taken of (ascending), and CPUs."""

    gpus: int
    parts: tuple[float, ...]
    cpus: float

    def without(self, bundle: Bundle) -> Left | None:
        """What is left beside one more bundle; None if it has no room."""
        gpus, parts, cpus = self.gpus, self.parts, round(self.cpus - bundle.cpus, DIGITS)
        if bundle.gpus >= 1:
            gpus -= math.ceil(bundle.gpus - SLACK)
        elif bundle.gpus:
            fitting = next((part for part in parts if part >= bundle.gpus - SLACK), 1.0)
            if fitting in parts:
                parts = (*parts[: (at := parts.index(fitting))], *parts[at + 1 :])
            else:
                gpus -= 1
            parts = tuple(sorted((*parts, round(fitting - bundle.gpus, DIGITS))))
        return Left(gpus, parts, cpus) if gpus >= 0 and cpus >= -SLACK else None


def bundles(cpus: float, gpus: float, largest: float) -> list[Bundle]:
    """What one replica takes where nodes have at most `largest` GPUs: one bundle, or one for each of more GPUs."""
    if gpus <= max(largest, 1):
        return [Bundle(max(cpus, LEAST_CPUS), gpus)]
    return [Bundle(max(cpus / gpus, LEAST_CPUS), 1)] * int(gpus)


def whole(nodes: Iterable[Node]) -> Counter[Left]:
    """Idle nodes, counted by their sizes."""
    return Counter(Left(int(node.gpus), (), float(node.cpus)) for node in nodes)


def fit(wanted: Mapping[Bundle, int], nodes: Mapping[Left, int]) -> bool:
    """Whether so many of each bundle have room side by side on so many of each node."""
    free = Counter(nodes)
    for bundle, count in sorted(wanted.items(), key=lambda each: (-each[0].gpus, -each[0].cpus)):
        if _place(bundle, count, free) < count:
            return False
    return True


def room_for(bundle: Bundle, most: int, nodes: Mapping[Left, int]) -> int:
    """How many of `most` equal bundles have room."""
    return _place(bundle, most, Counter(nodes))


def _place(bundle: Bundle, count: int, free: Counter[Left]) -> int:
    """Put equal bundles on nodes, and return how many had room."""
    missing = count
    for node in sorted(free):
        while missing and free[node]:
            after, placed = _filled(node, bundle, missing)
            if not placed:
                break
            number = min(free[node], missing // placed)
            free[node] -= number
            free[after] += number
            missing -= number * placed
    return count - missing


def _filled(node: Left, bundle: Bundle, most: int) -> tuple[Left, int]:
    """A node with as many of `most` bundles as it holds, and how many these are."""
    for placed in range(most):
        after = node.without(bundle)
        if after is None:
            return node, placed
        node = after
    return node, most
