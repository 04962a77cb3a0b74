"""What can be placed on a cluster, at all or side by side, found before anything starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cluster.resources.inventory import Inventory
from cluster.resources.packing import Bundle, bundles, fit, largest, room_for, whole


@dataclass(frozen=True, slots=True)
class Request:
    """What one model asks for: `replicas` workers, each with `cpus` and `gpus` on a single node.

    A `spread` worker may take its GPUs (whole ones) from several nodes if no node has so many. `kind` is that of the
    GPUs, any if empty.
    """

    name: str
    cpus: float
    gpus: float
    replicas: int = 1
    spread: bool = False
    kind: str = ""

    def bundles(self, here: Inventory) -> Counter[Bundle]:
        """What its replicas take on the nodes of a cluster."""
        most = largest(here.nodes, self.kind) if self.spread else self.gpus
        return Counter(bundles(self.cpus, self.gpus, most, self.kind) * self.replicas)


class Ground:
    """An idle cluster, for many questions."""

    def __init__(self, here: Inventory) -> None:
        self.here, self._nodes = here, whole(here.nodes)

    def holds(self, requests: Iterable[Request] | Mapping[Request, int]) -> bool:
        """Whether all replicas of all requests, or of so many of each, have room at the same time."""
        wanted = Counter[Bundle]()
        for request, number in Counter(requests).items():
            for bundle, count in request.bundles(self.here).items():
                wanted[bundle] += number * count
        return fit(wanted, self._nodes)


def fit_together(requests: Iterable[Request], here: Inventory) -> bool:
    """Whether all replicas of all requests have room on an idle cluster at the same time."""
    return Ground(here).holds(requests)


def check_fits(requests: Sequence[Request], inventory: Inventory) -> list[str]:
    """Return a message for each request that the whole, otherwise idle, cluster could not hold; empty if all fit.

    Requests are checked one by one: they may take turns, so more models than GPUs is no error.
    """
    messages = (_misfit(request, inventory) for request in requests)
    return [message for message in messages if message is not None]


def _misfit(request: Request, inventory: Inventory) -> str | None:
    ((bundle, count),) = request.bundles(inventory).items()
    room = room_for(bundle, count, whole(inventory.nodes)) * request.replicas // count
    if room >= request.replicas:
        return None
    kind = f" of kind {request.kind}" if request.kind else ""
    wanted = f"{request.name} asks for {_amount(request.cpus, request.gpus)}{kind}"
    if room == 0:
        return f"{wanted} on one node; {_largest(inventory)}"
    return f"{wanted} for each of {request.replicas} replicas; the nodes have room for {room}: lower `replicas`"


def _largest(inventory: Inventory) -> str:
    if not inventory.nodes:
        return "there is no node"
    node = max(inventory.nodes, key=lambda node: (node.gpus, node.cpus))
    return f"the largest is {node.name} with {_amount(node.cpus, node.gpus)}"


def _amount(cpus: float, gpus: float) -> str:
    return f"{cpus:g} CPUs and {gpus:g} GPUs"
