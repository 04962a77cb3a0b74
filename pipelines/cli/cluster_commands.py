"""`evolgrid cluster render|check`: launch files from one description, checked before anything is started."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cluster.launch.text import Target
from pipelines.cli.options import EXIT_FAILED
from pipelines.errors import InputError

app = typer.Typer(no_args_is_help=True, help="Launch files of clusters, from one description.")
From = Annotated[
    Path | None, typer.Option("--from", help="The cluster's description; default: evolgrid's own.", show_default=False)
]


@app.command(epilog="Example: [bold]evolgrid cluster render gcp --from my_cluster.yaml > ray_config.yaml[/bold]")
def render(
    target: Annotated[Target, typer.Argument(help="For what.", show_default=False)],
    source: From = None,
    study: Annotated[Path | None, typer.Option(help="kuberay: a job that runs this study on its own cluster.")] = None,
    store: Annotated[str | None, typer.Option(help="With --study: the URL of the store.")] = None,
) -> None:
    """Print the launch file of a described cluster: for `ray up` (aws, gcp) or for KubeRay."""
    from cluster.launch.description import DEFAULT, load
    from cluster.launch.render import render, render_job
    from pipelines.cli.options import load_and_check

    described = load(source or DEFAULT)
    if study is None:
        typer.echo(render(described, target), nl=False)
        return
    if target != "kuberay" or store is None or "://" not in store:
        raise InputError("a job is for kuberay, with a store that pods reach", remedy="Add --store s3://BUCKET/FOLDER.")
    typer.echo(render_job(described, load_and_check(study, None).study.study, study, store), nl=False)


@app.command(epilog="Example: [bold]evolgrid cluster check ray_config.yaml[/bold]")
def check(
    files: Annotated[list[Path], typer.Argument(help="Files of `ray up` or KubeRay.", show_default=False)],
    crd: Annotated[
        list[Path] | None,
        typer.Option(help="Your cluster's KubeRay: `kubectl get crd rayclusters.ray.io rayjobs.ray.io -o yaml`."),
    ] = None,
) -> None:
    """Check launch files without a cloud: by Ray's own schema, or by KubeRay's (v1.7.0, or what --crd names)."""
    from cluster.launch.check import check_file
    from cluster.launch.crds import read_schemas, released_schemas

    schemas, console, broken = released_schemas(), Console(), False
    for file in crd or []:
        schemas |= read_schemas(file)
    for file in files:
        problems = check_file(file, schemas)
        broken = broken or bool(problems)
        for problem in problems:
            console.print(f"[red]{file}[/red]: {problem}", soft_wrap=True, highlight=False)
        if not problems:
            console.print(f"{file}: no problem found", soft_wrap=True, highlight=False)
    if broken:
        raise typer.Exit(EXIT_FAILED)
