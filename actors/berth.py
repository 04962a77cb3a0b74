"""Where one replica lies: CPUs and GPUs that a placement group holds, also while models change in it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.util.placement_group import (
    PlacementGroup,
    placement_group,
    placement_group_table,
    remove_placement_group,
)
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

WAIT_SECONDS = 1.0  # of one look whether the group is placed
LEAST_CPUS = 0.001  # a placement group may not be empty


@dataclass(frozen=True, slots=True)
class Share:
    """CPUs and GPUs of one replica. More GPUs than any node has are taken from several nodes."""

    cpus: float = 1
    gpus: float = 0

    def bundles(self) -> list[dict[str, float]]:
        """What a placement group has to hold: one bundle on one node, or one for each GPU."""
        largest = max((node["Resources"].get("GPU", 0.0) for node in ray.nodes() if node["Alive"]), default=0.0)
        if self.gpus <= max(largest, 1):
            return [_bundle(self.cpus, self.gpus)]
        return [_bundle(self.cpus / self.gpus, 1)] * int(self.gpus)


@dataclass(frozen=True)
class Berth:
    """A placed group, and the names of its GPUs if it lies on one node. Travels between the routers of a driver."""

    share: Share
    group: PlacementGroup
    gpus: tuple[str, ...] = field(default=())

    @property
    def several_nodes(self) -> bool:
        """Whether the replica is spread over bundles that may lie on different nodes."""
        return self.group.bundle_count > 1

    def options(self) -> dict[str, Any]:
        """Ray's options for an actor in this berth.

        The actor itself asks for nothing: the group holds the resources, so that a sleeping model and the one that
        works in its place can lie in the same berth.
        """
        strategy = PlacementGroupSchedulingStrategy(self.group, 0, placement_group_capture_child_tasks=True)
        return {"num_cpus": 0, "num_gpus": 0, "scheduling_strategy": strategy}

    def exists(self) -> bool:
        """Whether the group has not been removed meanwhile."""
        return placement_group_table(self.group).get("state") not in (None, "REMOVED")

    def release(self) -> None:
        """Give the resources back to the cluster; what still lies in the berth is ended by Ray."""
        remove_placement_group(self.group)


async def reserve(share: Share, name: str) -> Berth:
    """A berth of this share, as soon as the cluster has room; until then the group is demand for its autoscaler."""
    group = placement_group(share.bundles(), strategy="PACK", name=name)
    try:
        while not await asyncio.to_thread(group.wait, WAIT_SECONDS):
            pass
        spread = group.bundle_count > 1
        gpus = () if spread or not share.gpus else await _gpus(share, group)
        return Berth(share, group, tuple(gpus))
    except BaseException:
        remove_placement_group(group)
        raise


def remove_leftovers(name: str, numbers: Sequence[int]) -> None:
    """Remove groups that an earlier life of a router, killed without warning, has left under these names."""
    for number in numbers:
        try:
            remove_placement_group(ray.util.get_placement_group(f"{name}/{number}"))
        except ValueError:
            continue


async def _gpus(share: Share, group: PlacementGroup) -> list[str]:
    strategy = PlacementGroupSchedulingStrategy(group, 0)
    return await _visible_gpus.options(num_cpus=0, num_gpus=share.gpus, scheduling_strategy=strategy).remote()


@ray.remote
def _visible_gpus() -> list[str]:
    """The GPUs that Ray has given to this task."""
    return [str(gpu) for gpu in ray.get_gpu_ids()]


def _bundle(cpus: float, gpus: float) -> dict[str, float]:
    return {"CPU": max(cpus, LEAST_CPUS)} | ({"GPU": gpus} if gpus else {})
