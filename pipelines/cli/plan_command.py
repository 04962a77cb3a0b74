"""What `evolgrid plan` plans for: a cluster of some size, at whose prices, and measured how."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from cluster.launch.description import Cloud
from cluster.resources.inventory import Inventory, machine

if TYPE_CHECKING:
    from pipelines.planning.cost import Offer
    from pipelines.planning.machine_types import Kinds
    from pipelines.store.store import Store
    from pipelines.study.file.load import Loaded

ClusterFile = Annotated[
    str | None,
    typer.Option("--cluster", help="Plan for a described cluster, with prices: its file, or 'default'."),
]
CloudName = Annotated[Cloud, typer.Option("--cloud", help="Whose prices, for a described cluster.")]
Profiled = Annotated[bool, typer.Option("--profile", help="First run the study's own steps on a few seeds.")]
Measured = Annotated[
    str | None,
    typer.Option("--address", help="Let --profile measure on this Ray cluster, as host:port or 'auto'."),
]


def offered(named: str | None, cloud: Cloud, cpus: int | None, gpus: int | None) -> tuple[Inventory, Offer | None]:
    """The machines to plan for, and what they cost where a described cluster is named."""
    from cluster.launch.description import DEFAULT, load
    from cluster.launch.prices import load as load_prices
    from pipelines.cli.plan_command import planned_cluster
    from pipelines.planning.cost import Offer

    if named is None:
        return planned_cluster(cpus, gpus), None
    described = load(DEFAULT if named == "default" else Path(named))
    room = described.inventory() if cpus is None and gpus is None else planned_cluster(cpus, gpus)
    return room, Offer(described, load_prices(), cloud)


def kinds(loaded: Loaded, room: Inventory, offer: Offer | None) -> Kinds:
    """The kinds of machines to plan for."""
    from pipelines.planning.machine_types import Kinds

    return offer.kinds(loaded.study, loaded.folder) if offer else Kinds(loaded.study, loaded.folder, room)


def measured(loaded: Loaded, store: Store, address: str | None) -> None:
    """Profile a study on this machine or a cluster; its plans are made from that from now on."""
    from pipelines.cli.stderr import noise_to_file
    from pipelines.execution.profiling import measure

    with noise_to_file():
        measure(loaded, store, address, Console())


def planned_cluster(cpus: int | None, gpus: int | None) -> Inventory:
    """This machine; numbers that are given replace its own, as if it were a cluster of one node of that size."""
    (node,) = machine().nodes
    node = replace(node, cpus=node.cpus if cpus is None else cpus, gpus=node.gpus if gpus is None else gpus)
    return Inventory((node,))
