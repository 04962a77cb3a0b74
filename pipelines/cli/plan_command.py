"""Options of `evolgrid plan`: the cluster's size, the prices, and the profile."""

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
    typer.Option("--cluster", help="Cluster description to plan for, with prices: a file, or 'default'."),
]
CloudName = Annotated[Cloud, typer.Option("--cloud", help="Cloud whose prices apply to --cluster.")]
ProfileFlag = Annotated[bool, typer.Option("--profile", help="First measure the study's steps on a few seeds.")]
ProfileAddress = Annotated[
    str | None,
    typer.Option("--address", help="Ray cluster on which --profile measures: host:port or 'auto'."),
]


def load_cluster_and_prices(
    cluster_file: str | None, cloud: Cloud, cpus: int | None, gpus: int | None
) -> tuple[Inventory, PriceList | None]:
    """Return the machines to plan for, and their prices if a cluster description is given."""
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
    """Return the machine types to plan for."""
    from pipelines.planning.machine_types import MachineTypes

    return (
        price_list.machine_types(loaded.study, loaded.folder)
        if price_list
        else MachineTypes(loaded.study, loaded.folder, inventory)
    )


def profile_study(loaded: LoadedStudy, store: Store, address: str | None) -> None:
    """Profile a study on this machine or a cluster. Later plans of the study use the profile."""
    from pipelines.cli.stderr import redirect_stderr
    from pipelines.execution.profiling import measure_profile

    with redirect_stderr():
        measure_profile(loaded, store, address, Console())


def planned_cluster(cpus: int | None, gpus: int | None) -> Inventory:
    """Return a cluster of one node: this machine, with its CPUs and GPUs replaced by the given numbers."""
    (node,) = machine().nodes
    node = replace(node, cpus=node.cpus if cpus is None else cpus, gpus=node.gpus if gpus is None else gpus)
    return Inventory((node,))
