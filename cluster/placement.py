"""What can never be placed, found before anything starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cluster.inventory import Inventory, Node


@dataclass(frozen=True, slots=True)
class Request:
    """What one model asks for: `replicas` workers, each with `cpus` and `gpus` on a single node.

    A `spread` worker may take its GPUs (whole ones) from several nodes.
    """

    name: str
    cpus: float
    gpus: float
    replicas: int = 1
    spread: bool = False


def check_fits(requests: Sequence[Request], inventory: Inventory) -> list[str]:
    """Return a message for each request that the whole, otherwise idle, cluster could not hold; empty if all fit.

    Requests are checked one by one: they may take turns, so more models than GPUs is no error.
    """
    messages = (_misfit(request, inventory) for request in requests)
    return [message for message in messages if message is not None]


def _misfit(request: Request, inventory: Inventory) -> str | None:
    room = sum(_room(request, node) for node in inventory.nodes)
    if request.spread and request.gpus > 1:
        room = max(room, int(sum(int(node.gpus) for node in inventory.nodes) // request.gpus))
    if room >= request.replicas:
        return None
    wanted = f"{request.name} asks for {_amount(request.cpus, request.gpus)}"
    if room == 0:
        return f"{wanted} on one node; {_largest(inventory)}"
    return f"{wanted} for each of {request.replicas} replicas; the nodes have room for {room}: lower `replicas`"


def _room(request: Request, node: Node) -> int:
    """Return how many replicas the empty node holds."""
    wants = ((request.cpus, node.cpus), (request.gpus, node.gpus))
    return min((int(has / want + 1e-9) for want, has in wants if want > 0), default=request.replicas)


def _largest(inventory: Inventory) -> str:
    if not inventory.nodes:
        return "there is no node"
    node = max(inventory.nodes, key=lambda node: (node.gpus, node.cpus))
    return f"the largest is {node.name} with {_amount(node.cpus, node.gpus)}"


def _amount(cpus: float, gpus: float) -> str:
    return f"{cpus:g} CPUs and {gpus:g} GPUs"
