"""Checks whether resource requests fit on a cluster, one at a time or together, before anything starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cluster.resources.inventory import Inventory
from cluster.resources.packing import Bundle, bundles, fits, free_nodes, max_gpus_per_node, max_replicas_that_fit


@dataclass(frozen=True, slots=True)
class ResourceRequest:
    """Resources of one model: `replicas` workers, each with `cpus` and `gpus` on a single node.

    With `spread`, the (whole) GPUs of a worker may be on several nodes if no node has enough. `accelerator_type` is
    the type of the GPUs; empty means any. A model without `reserves` takes nothing of a node: it is on a server.
    """

    name: str
    cpus: float
    gpus: float
    replicas: int = 1
    spread: bool = False
    accelerator_type: str = ""
    reserves: bool = True

    def bundles(self, inventory: Inventory) -> Counter[Bundle]:
        """Return the bundles of all replicas on this cluster, with their counts."""
        if not self.reserves:
            return Counter({Bundle(0, 0): self.replicas})
        max_gpus = max_gpus_per_node(inventory.nodes, self.accelerator_type) if self.spread else self.gpus
        return Counter(bundles(self.cpus, self.gpus, max_gpus, self.accelerator_type) * self.replicas)


class ClusterCapacity:
    """The capacity of an idle cluster, computed once for many checks."""

    def __init__(self, inventory: Inventory) -> None:
        self.inventory, self._nodes = inventory, free_nodes(inventory.nodes)
        self._known: dict[frozenset[tuple[ResourceRequest, int]], bool] = {}

    def holds(self, requests: Iterable[ResourceRequest] | Mapping[ResourceRequest, int]) -> bool:
        """Return whether all replicas of all requests fit at the same time. A mapping has counts of requests."""
        counted = requests if isinstance(requests, Mapping) else Counter(requests)
        asked = frozenset(counted.items())
        if asked not in self._known:
            self._known[asked] = self._fits(counted)
        return self._known[asked]

    def _fits(self, requests: Mapping[ResourceRequest, int]) -> bool:
        wanted = Counter[Bundle]()
        for request, number in requests.items():
            for bundle, count in request.bundles(self.inventory).items():
                wanted[bundle] += number * count
        return fits(wanted, self._nodes)


def fit_together(requests: Iterable[ResourceRequest], inventory: Inventory) -> bool:
    """Return whether all replicas of all requests fit on an idle cluster at the same time."""
    return ClusterCapacity(inventory).holds(requests)


def check_fits(requests: Sequence[ResourceRequest], inventory: Inventory) -> list[str]:
    """Return a message for each request that does not fit on the idle cluster; empty if all fit.

    Requests are checked one by one. Models can run in turns, so more models than GPUs are not an error.
    """
    messages = (_placement_problem(request, inventory) for request in requests)
    return [message for message in messages if message is not None]


def _placement_problem(request: ResourceRequest, inventory: Inventory) -> str | None:
    ((bundle, count),) = request.bundles(inventory).items()
    replicas_that_fit = max_replicas_that_fit(bundle, count, free_nodes(inventory.nodes)) * request.replicas // count
    if replicas_that_fit >= request.replicas:
        return None
    of_type = f" of type {request.accelerator_type}" if request.accelerator_type else ""
    wanted = f"{request.name} asks for {_describe_amount(request.cpus, request.gpus)}{of_type}"
    if replicas_that_fit == 0:
        return f"{wanted} on one node; {_describe_largest(inventory)}"
    return (
        f"{wanted} for each of {request.replicas} replicas; the nodes have room for {replicas_that_fit}: "
        "lower `replicas`"
    )


def _describe_largest(inventory: Inventory) -> str:
    if not inventory.nodes:
        return "the cluster has no nodes"
    node = max(inventory.nodes, key=lambda node: (node.gpus, node.cpus))
    return f"the largest is {node.name} with {_describe_amount(node.cpus, node.gpus)}"


def _describe_amount(cpus: float, gpus: float) -> str:
    return f"{cpus:g} CPUs and {gpus:g} GPUs"
