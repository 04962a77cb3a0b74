"""`evolgrid cluster render|check`: renders launch files from a description of a cluster, and checks launch files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cluster.launch.text import Target
from pipelines.cli.common.options import EXIT_FAILED
from pipelines.errors import InputError

app = typer.Typer(no_args_is_help=True, help="Render and check the launch files of clusters.")
From = Annotated[
    Path | None,
    typer.Option("--from", help="Description of the cluster (default: the bundled one).", show_default=False),
]


@app.command(epilog="Example: [bold]evolgrid cluster render gcp --from my_cluster.yaml > ray_config.yaml[/bold]")
def render(
    target: Annotated[Target, typer.Argument(help="Launcher to render for.", show_default=False)],
    source: From = None,
    study: Annotated[
        Path | None, typer.Option(help="kuberay: render a job that runs this study on its own cluster.")
    ] = None,
    store: Annotated[str | None, typer.Option(help="With --study: URL of the store.")] = None,
) -> None:
    """Print the launch file of a cluster, for `ray up` (aws, gcp) or KubeRay."""
    from cluster.launch.description import DEFAULT, load
    from cluster.launch.render import render, render_job
    from pipelines.cli.common.options import load_and_check
    from pipelines.study.file.write import to_yaml

    described = load(source or DEFAULT)
    if study is None:
        typer.echo(render(described, target), nl=False)
        return
    if target != "kuberay" or store is None or "://" not in store:
        raise InputError(
            "--study requires the target 'kuberay' and a --store that pods can reach",
            remedy="Use the target kuberay, and add --store s3://BUCKET/FOLDER.",
        )
    loaded = load_and_check(study, None)
    text = to_yaml(loaded.study) if loaded.pins else study.read_text()
    typer.echo(render_job(described, loaded.study.study, study.name, text, store), nl=False)


@app.command(epilog="Example: [bold]evolgrid cluster check ray_config.yaml[/bold]")
def check(
    files: Annotated[list[Path], typer.Argument(help="Launch files of `ray up` or KubeRay.", show_default=False)],
    crd: Annotated[
        list[Path] | None,
        typer.Option(
            help="CRDs of your cluster's KubeRay, the output of "
            "`kubectl get crd rayclusters.ray.io rayjobs.ray.io -o yaml` (default: v1.7.0)."
        ),
    ] = None,
) -> None:
    """Validate launch files against Ray's schema or KubeRay's CRDs, without access to a cloud."""
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
