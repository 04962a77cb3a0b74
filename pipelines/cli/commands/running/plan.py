"""`evolgrid plan`: the steps of a study, what will run where, and what it will cost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from cluster.launch.description import Cloud
from cluster.resources.inventory import Inventory, machine
from pipelines.cli.common.options import DEFAULT_STORE, EXIT_FAILED, SeedFile, StoreUrl, StudyFile, load_and_check
from pipelines.cli.common.registration import RUN, add_command
from pipelines.errors import InputError

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


def plan(
    study: StudyFile,
    store: StoreUrl = DEFAULT_STORE,
    seeds: SeedFile = None,
    explain: Annotated[bool, typer.Option("--explain", help="Explain why each step is not reused.")] = False,
    all_steps: Annotated[bool, typer.Option("--all", help="Print every step of a large study.")] = False,
    cpus: Annotated[
        int | None, typer.Option(min=1, help="Number of CPUs to plan for (default: this machine's).")
    ] = None,
    gpus: Annotated[
        int | None, typer.Option(min=0, help="Number of GPUs to plan for (default: this machine's).")
    ] = None,
    cluster: ClusterFile = None,
    cloud: CloudName = "aws",
    profile: ProfileFlag = False,
    address: ProfileAddress = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Ask the server of each http model once, and say what was found.")
    ] = False,
) -> None:
    """Print the steps of a study: which are finished, which will run in which phases, and their estimated cost."""
    from pipelines.cli.views.endpoints import show_endpoints
    from pipelines.cli.views.plan import PlanView, show_plan
    from pipelines.planning.plan import make_plan
    from pipelines.store.store import Store

    if address and not profile:
        raise InputError("--address has no effect without --profile", remedy="Add --profile, or omit --address.")
    loaded, target = load_and_check(study, seeds, local=profile and address is None), Store(store)
    if profile:
        _profile_study(loaded, target, address)
    inventory, price_list = _cluster_and_prices(cluster, cloud, cpus, gpus)
    step_plan = make_plan(loaded.study, loaded.folder, target, _machine_types(loaded, inventory, price_list))
    view = PlanView(loaded, step_plan, target, inventory, price_list)
    show_plan(Console(), view, explain=explain, all_steps=all_steps)
    if probe and not show_endpoints(Console(), loaded):
        raise typer.Exit(EXIT_FAILED)


def _cluster_and_prices(
    cluster_file: str | None, cloud: Cloud, cpus: int | None, gpus: int | None
) -> tuple[Inventory, PriceList | None]:
    """Return the machines to plan for, and their prices if a cluster description is given."""
    from cluster.launch.description import DEFAULT, load
    from cluster.launch.prices import load as load_prices
    from pipelines.planning.cost import PriceList

    if cluster_file is None:
        return _planned_cluster(cpus, gpus), None
    description = load(DEFAULT if cluster_file == "default" else Path(cluster_file))
    inventory = description.inventory() if cpus is None and gpus is None else _planned_cluster(cpus, gpus)
    return inventory, PriceList(description, load_prices(), cloud)


def _machine_types(loaded: LoadedStudy, inventory: Inventory, price_list: PriceList | None) -> MachineTypes:
    """Return the machine types to plan for."""
    from pipelines.planning.machine_types import MachineTypes

    return (
        price_list.machine_types(loaded.study, loaded.folder)
        if price_list
        else MachineTypes(loaded.study, loaded.folder, inventory)
    )


def _profile_study(loaded: LoadedStudy, store: Store, address: str | None) -> None:
    """Profile a study on this machine or a cluster. Later plans of the study use the profile."""
    from pipelines.cli.common.stderr import redirect_stderr
    from pipelines.execution.profiling import measure_profile

    with redirect_stderr():
        measure_profile(loaded, store, address, Console())


def _planned_cluster(cpus: int | None, gpus: int | None) -> Inventory:
    """Return a cluster of one node: this machine, with its CPUs and GPUs replaced by the given numbers."""
    (node,) = machine().nodes
    node = replace(node, cpus=node.cpus if cpus is None else cpus, gpus=node.gpus if gpus is None else gpus)
    return Inventory((node,))


def add_plan_command(app: typer.Typer) -> None:
    """Add the command to the app."""
    add_command(
        app,
        plan,
        RUN,
        "evolgrid plan studies/quickstart.yaml --explain",
        "evolgrid plan study.yaml --store s3://bucket/folder --profile --address auto",
    )
