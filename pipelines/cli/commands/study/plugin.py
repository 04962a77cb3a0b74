"""`evolgrid plugin new`: writes a plug-in to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer(no_args_is_help=True, help="Extend evolgrid by plug-ins.")


@app.callback()
def group() -> None:
    """Extend evolgrid by plug-ins."""


@app.command(epilog="Example: [bold]evolgrid plugin new metric politeness[/bold]")
def new(
    kind: Annotated[
        Literal["metric", "measure", "method", "selection", "benchmark", "engine"],
        typer.Argument(help="What the plug-in adds.", show_default=False),
    ],
    name: Annotated[str, typer.Argument(help="Name of the plug-in and of what it adds.", show_default=False)],
    folder: Annotated[Path, typer.Option(help="Output folder (created if missing).")] = Path(),
) -> None:
    """Write a working plug-in and a test that passes."""
    from pipelines.plugins.skeleton import write_skeleton

    plugin, test = write_skeleton(kind, name, folder)
    typer.echo(f"{plugin}: name it in a study with 'plugins: [./{plugin.name}]'")
    typer.echo(f"{test}: run it with 'pytest {test}'")
