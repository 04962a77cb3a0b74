"""The placement group that reserves one replica's CPUs and GPUs. It outlives the model that is loaded in it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import GetTimeoutError
from ray.util.placement_group import PlacementGroup, placement_group, placement_group_table, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from actors.serving.spec import ReplicaResources
from cluster.errors import ClusterError
from cluster.resources.gpu_memory import wait_until_free
from cluster.resources.inventory import live_nodes, max_inventory
from cluster.resources.packing import Bundle, FreeNode, fits, free_nodes

PLACEMENT_WAIT_SECONDS = 1.0  # the longest wait of one call for the group's placement
NO_CAPACITY = FreeNode(0, (), 0)


@dataclass(frozen=True)
class Reservation:
    """A placement group for one replica, pending or placed. Picklable: drivers send it to their routers."""

    resources: ReplicaResources
    group: PlacementGroup

    @property
    def spans_nodes(self) -> bool:
        """Whether the group has several bundles, which may be on different nodes."""
        return self.group.bundle_count > 1

    async def wait_until_placed(self) -> tuple[str, ...]:
        """Wait until the group is placed, and return its GPU ids. Returns no ids for a group that spans nodes."""
        while not await asyncio.to_thread(self.group.wait, PLACEMENT_WAIT_SECONDS):
            pass
        if self.spans_nodes or not self.resources.gpus:
            return ()
        strategy = PlacementGroupSchedulingStrategy(self.group, 0)
        gpu_task = _visible_gpus.options(num_cpus=0, num_gpus=self.resources.gpus, scheduling_strategy=strategy)
        return tuple(await gpu_task.remote())

    def actor_options(self) -> dict[str, Any]:
        """Return Ray's options for an actor in this group.

        The actor itself requests no resources: the group holds them. So an offloaded model and an active one can share
        the group.
        """
        strategy = PlacementGroupSchedulingStrategy(self.group, 0, placement_group_capture_child_tasks=True)
        return {"num_cpus": 0, "num_gpus": 0, "scheduling_strategy": strategy}

    def nodes(self) -> list[str]:
        """Return Ray's id of each bundle's node; empty if the group is not placed."""
        found = placement_group_table(self.group)
        return [*found["bundles_to_node_id"].values()] if found.get("state") == "CREATED" else []

    def exists(self) -> bool:
        """Return whether the group has not been removed."""
        return placement_group_table(self.group).get("state") not in (None, "REMOVED")

    def release(self) -> None:
        """Release the resources. Ray kills the actors that are still in the group."""
        remove_placement_group(self.group)


def reserve(resources: ReplicaResources, name: str) -> Reservation:
    """Create the placement group of one replica. While it is pending, the autoscaler counts it as demand."""
    return Reservation(resources, placement_group(resources.bundles(), strategy="PACK", name=name))


def wait_until_bundles_are_free(group: PlacementGroup, min_fraction: float, timeout: float) -> None:
    """Wait until at least `min_fraction` (0 to 1) of the memory of each GPU of a placed group is free, on every node.

    Raises:
        ClusterError: A GPU's memory is not free after `timeout` seconds, or a process of Ray still holds a GPU.
    """
    tasks = [
        _wait_in_bundle.options(
            num_cpus=0, num_gpus=1, scheduling_strategy=PlacementGroupSchedulingStrategy(group, number)
        ).remote(min_fraction, timeout)
        for number in range(group.bundle_count)
    ]
    try:
        problems: list[str] = ray.get(tasks, timeout=2 * timeout)
    except GetTimeoutError:
        problems = [f"GPUs of the placement group are still in use after {2 * timeout:g} s"]
    if problem := next(filter(None, problems), ""):
        raise ClusterError(problem)


def unplaced(reservations: Iterable[Reservation]) -> list[Reservation]:
    """Return the reservations that Ray has not placed yet."""
    table = placement_group_table()
    return [
        reservation
        for reservation in reservations
        if _table_entry(reservation, table).get("state", "CREATED") != "CREATED"
    ]


def fits_alongside(replicas: Iterable[ReplicaResources], reservations: Iterable[Reservation]) -> bool:
    """Return whether `replicas` and the unplaced `reservations` fit beside the placed ones, which stay where they are.

    Nodes that the autoscaler may still add count as present.
    """
    table, nodes = placement_group_table(), live_nodes()
    demand = Counter(Bundle.from_resources(each) for resources in replicas for each in resources.bundles())
    free_by_node = {key: next(iter(free_nodes([node]))) for key, node in nodes.items()}
    for reservation in reservations:
        record = _table_entry(reservation, table)
        for number, each in record.get("bundles", {}).items():
            bundle, place = Bundle.from_resources(each), record["bundles_to_node_id"].get(number)
            if record["state"] == "CREATED" and place in free_by_node:
                free_by_node[place] = free_by_node[place].without(bundle) or NO_CAPACITY
            else:
                demand[bundle] += 1
    upcoming = free_nodes(max_inventory().nodes) - free_nodes(nodes.values())
    return fits(demand, upcoming + Counter(free_by_node.values()))


def _table_entry(reservation: Reservation, table: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the entry of a reservation's group in Ray's table, empty if the group was removed."""
    record = table.get(reservation.group.id.hex(), {})
    return {} if record.get("state") == "REMOVED" else record


def remove_stale_groups(name: str) -> None:
    """Remove the groups `NAME/0`, `NAME/1`... that a router left behind when it crashed."""
    for group in placement_group_table().values():
        owner, _, number = group["name"].rpartition("/")
        if owner == name and number.isdigit() and group["state"] != "REMOVED":
            with contextlib.suppress(ValueError):  # removed in the meantime
                remove_placement_group(ray.util.get_placement_group(group["name"]))


@ray.remote
def _wait_in_bundle(min_fraction: float, timeout: float) -> str:
    """Wait for the GPUs that Ray has assigned to this task. Return what is wrong, empty if they are free."""
    try:
        wait_until_free([str(gpu) for gpu in ray.get_gpu_ids()], min_fraction, timeout)
    except ClusterError as error:
        return f"node {ray.util.get_node_ip_address()}: {error}"
    return ""


@ray.remote
def _visible_gpus() -> list[str]:
    """Return the ids of the GPUs that Ray has assigned to this task."""
    return [str(gpu) for gpu in ray.get_gpu_ids()]
