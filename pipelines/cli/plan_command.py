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
    from pipelines.planning.cost import PriceList
    from pipelines.planning.machine_types import MachineTypes
    from pipelines.store.store import Store
    from pipelines.study.file.load import LoadedStudy

ClusterFile = Annotated[
    str | None,
    typer.Option("--cluster", help="Plan for a described cluster, with prices: its file, or 'default'."),
]
CloudName = Annotated[Cloud, typer.Option("--cloud", help="Whose prices, for a described cluster.")]
ProfileFlag = Annotated[bool, typer.Option("--profile", help="First run the study's own steps on a few seeds.")]
ProfileAddress = Annotated[
    str | None,
    typer.Option("--address", help="Let --profile measure on this Ray cluster, as host:port or 'auto'."),
]


def load_cluster_and_prices(
    cluster_file: str | None, cloud: Cloud, cpus: int | None, gpus: int | None
) -> tuple[Inventory, PriceList | None]:
    """The machines to plan for, and what they cost where a described cluster is named."""
    from cluster.launch.description import DEFAULT, load
    from cluster.launch.prices import load as load_prices
    from pipelines.cli.plan_command import planned_cluster
    from pipelines.planning.cost import PriceList

    if cluster_file is None:
        return planned_cluster(cpus, gpus), None
    description = load(DEFAULT if cluster_file == "default" else Path(cluster_file))
    inventory = description.inventory() if cpus is None and gpus is None else planned_cluster(cpus, gpus)
    return inventory, PriceList(description, load_prices(), cloud)


def machine_types(loaded: LoadedStudy, inventory: Inventory, price_list: PriceList | None) -> MachineTypes:
    """The kinds of machines to plan for."""
    from pipelines.planning.machine_types import MachineTypes

    return (
        price_list.machine_types(loaded.study, loaded.folder)
        if price_list
        else MachineTypes(loaded.study, loaded.folder, inventory)
    )


def profile_study(loaded: LoadedStudy, store: Store, address: str | None) -> None:
    """Profile a study on this machine or a cluster; its plans are made from that from now on."""
    from pipelines.cli.stderr import redirect_stderr
    from pipelines.execution.profiling import measure_profile

    with redirect_stderr():
        measure_profile(loaded, store, address, Console())


def planned_cluster(cpus: int | None, gpus: int | None) -> Inventory:
    """This machine; numbers that are given replace its own, as if it were a cluster of one node of that size."""
    (node,) = machine().nodes
    node = replace(node, cpus=node.cpus if cpus is None else cpus, gpus=node.gpus if gpus is None else gpus)
    return Inventory((node,))
