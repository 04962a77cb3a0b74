"""Whether bundles of CPUs and GPUs have room on nodes: first-fit decreasing, the fullest nodes first.

Nodes that are alike are placed on together, so hundreds of nodes of a few kinds cost no more than a few.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from cluster.resources.inventory import Node

LEAST_CPUS = 0.001  # Ray takes no empty bundle
KIND = "accelerator_type:"  # Ray's resource, of which every node with such GPUs has one
LEAST_KIND = 0.001
SLACK = 1e-6  # shares are sums of fractions
DIGITS = 6  # what is left is rounded to so many, so that nodes that are alike stay so


class Bundle(NamedTuple):
    """CPUs and GPUs that lie on one node. GPUs are a part of one, or whole ones, of a `kind` or of any ("")."""

    cpus: float
    gpus: float
    kind: str = ""

    def resources(self) -> dict[str, float]:
        """In Ray's words."""
        gpus = {"GPU": self.gpus} if self.gpus else {}
        return {"CPU": self.cpus} | gpus | ({KIND + self.kind: LEAST_KIND} if self.kind else {})

    @classmethod
    def of(cls, resources: Mapping[str, float]) -> Bundle:
        """From Ray's words."""
        kind = next((name.removeprefix(KIND) for name in resources if name.startswith(KIND)), "")
        return cls(resources["CPU"], resources.get("GPU", 0), kind)


class Left(NamedTuple):
    """What is left of a node: untouched GPUs, the rest of each GPU that parts were taken of (ascending), and CPUs.

    `kind` is that of its GPUs.
    """

    gpus: int
    parts: tuple[float, ...]
    cpus: float
    kind: str = ""

    def without(self, bundle: Bundle) -> Left | None:
        """What is left beside one more bundle; None if it has no room."""
        if bundle.kind not in ("", self.kind):
            return None
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
        return Left(gpus, parts, cpus, self.kind) if gpus >= 0 and cpus >= -SLACK else None


def bundles(cpus: float, gpus: float, largest: float, kind: str = "") -> list[Bundle]:
    """What one replica takes where nodes have at most `largest` GPUs: one bundle, or one for each of more GPUs."""
    if gpus <= max(largest, 1):
        return [Bundle(max(cpus, LEAST_CPUS), gpus, kind)]
    return [Bundle(max(cpus / gpus, LEAST_CPUS), 1, kind)] * int(gpus)


def largest(nodes: Iterable[Node], kind: str = "") -> float:
    """The most GPUs that a node has, of a kind or of any."""
    return max((node.gpus for node in nodes if kind in ("", node.accelerator)), default=0.0)


def whole(nodes: Iterable[Node]) -> Counter[Left]:
    """Idle nodes, counted by their sizes."""
    return Counter(Left(int(node.gpus), (), float(node.cpus), node.accelerator or "") for node in nodes)


def fit(wanted: Mapping[Bundle, int], nodes: Mapping[Left, int]) -> bool:
    """Whether so many of each bundle have room side by side on so many of each node."""
    free = Counter(nodes)
    for bundle, count in sorted(wanted.items(), key=lambda each: (not each[0].kind, -each[0].gpus, -each[0].cpus)):
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
