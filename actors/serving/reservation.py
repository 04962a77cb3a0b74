"""Where one replica lies: CPUs and GPUs that a placement group holds, also while models change in it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.placement_group import PlacementGroup, placement_group, placement_group_table, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from actors.serving.spec import Share
from cluster.resources.inventory import living, possible
from cluster.resources.packing import Bundle, Left, fit, whole

WAIT_SECONDS = 1.0  # of one look whether the group is placed
FULL = Left(0, (), 0)


@dataclass(frozen=True)
class Berth:
    """A placement group of one share, asked for or placed already. Travels between a driver and its routers."""

    share: Share
    group: PlacementGroup

    @property
    def several_nodes(self) -> bool:
        """Whether the replica is spread over bundles that may lie on different nodes."""
        return self.group.bundle_count > 1

    async def placed(self) -> tuple[str, ...]:
        """Wait until the cluster has room, and return the names of the GPUs (none if there are several nodes)."""
        while not await asyncio.to_thread(self.group.wait, WAIT_SECONDS):
            pass
        if self.several_nodes or not self.share.gpus:
            return ()
        strategy = PlacementGroupSchedulingStrategy(self.group, 0)
        asked = _visible_gpus.options(num_cpus=0, num_gpus=self.share.gpus, scheduling_strategy=strategy)
        return tuple(await asked.remote())

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


def reserve(share: Share, name: str) -> Berth:
    """Ask for a berth. Until the cluster has room, its group is demand that the cluster's autoscaler sees."""
    return Berth(share, placement_group(share.bundles(), strategy="PACK", name=name))


def waiting(berths: Iterable[Berth]) -> list[Berth]:
    """The berths that Ray has not placed yet."""
    table = placement_group_table()
    return [berth for berth in berths if _record(berth, table).get("state", "CREATED") != "CREATED"]


def fit_beside(shares: Iterable[Share], berths: Iterable[Berth]) -> bool:
    """Whether more shares, and berths that are not placed yet, have room beside the others, where these lie now.

    Nodes that may still come are there already.
    """
    table, nodes = placement_group_table(), living()
    wanted = Counter(Bundle.of(each) for share in shares for each in share.bundles())
    left = {key: next(iter(whole([node]))) for key, node in nodes.items()}
    for berth in berths:
        record = _record(berth, table)
        for number, each in record.get("bundles", {}).items():
            bundle, place = Bundle.of(each), record["bundles_to_node_id"].get(number)
            if record["state"] == "CREATED" and place in left:
                left[place] = left[place].without(bundle) or FULL
            else:
                wanted[bundle] += 1
    coming = whole(possible().nodes) - whole(nodes.values())
    return fit(wanted, coming + Counter(left.values()))


def _record(berth: Berth, table: Mapping[str, Any]) -> Mapping[str, Any]:
    """What Ray knows of a berth's group; nothing if it was removed."""
    record = table.get(berth.group.id.hex(), {})
    return {} if record.get("state") == "REMOVED" else record


def remove_leftovers(name: str) -> None:
    """Remove the groups `NAME/0`, `NAME/1`... that an earlier life of a router, killed without warning, has left."""
    for group in placement_group_table().values():
        owner, _, number = group["name"].rpartition("/")
        if owner == name and number.isdigit() and group["state"] != "REMOVED":
            with contextlib.suppress(ValueError):  # gone meanwhile
                remove_placement_group(ray.util.get_placement_group(group["name"]))


@ray.remote
def _visible_gpus() -> list[str]:
    """The GPUs that Ray has given to this task."""
    return [str(gpu) for gpu in ray.get_gpu_ids()]
