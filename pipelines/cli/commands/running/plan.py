"""`evolgrid plan`: the steps of a study, what will run where, and what it will cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from cluster.launch.description import Cloud
from pipelines.cli.common.options import DEFAULT_STORE, EXIT_FAILED, SeedFile, StoreUrl, StudyFile, load_and_check
from pipelines.cli.common.registration import RUN, add_command
from pipelines.errors import InputError

if TYPE_CHECKING:
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
    from pipelines.api.plans import plan_study
    from pipelines.cli.views.endpoints import show_endpoints
    from pipelines.store.store import Store

    if address and not profile:
        raise InputError("--address has no effect without --profile", remedy="Add --profile, or omit --address.")
    loaded, target = load_and_check(study, seeds, local=profile and address is None), Store(store)
    if profile:
        _profile_study(loaded, target, address)
    found = plan_study(loaded, target, cpus=cpus, gpus=gpus, cluster=cluster, cloud=cloud)
    found.show(Console(), explain=explain, all_steps=all_steps)
    if probe and not show_endpoints(Console(), loaded):
        raise typer.Exit(EXIT_FAILED)


def _profile_study(loaded: LoadedStudy, store: Store, address: str | None) -> None:
    """Profile a study on this machine or a cluster. Later plans of the study use the profile."""
    from pipelines.api.process.stderr import redirect_stderr
    from pipelines.execution.profiling import measure_profile

    with redirect_stderr():
        measure_profile(loaded, store, address, Console())


def add_plan_command(app: typer.Typer) -> None:
    """Add the command to the app."""
    add_command(
        app,
        plan,
        RUN,
        "evolgrid plan studies/quickstart.yaml --explain",
        "evolgrid plan study.yaml --store s3://bucket/folder --profile --address auto",
    )
