"""`evolgrid init`: writes a commented study to start from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pipelines.cli.common.registration import STUDY, add_command
from pipelines.errors import InputError

if TYPE_CHECKING:
    from cluster.resources.inventory import Inventory
    from pipelines.study.starters.models import Server
    from pipelines.study.starters.own_data import OwnData

MAX_LISTED = 8


def _complete_template(incomplete: str) -> Iterator[tuple[str, str]]:
    from pipelines.study.starters.starter import summaries

    return ((name, about) for name, about in summaries().items() if name.startswith(incomplete))


def init(
    template: Annotated[
        str | None,
        typer.Argument(
            help="Template (default: endpoint with --endpoint, own-data with --data, else quickstart).",
            show_default=False,
            autocompletion=_complete_template,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write (default: TEMPLATE.yaml).", show_default=False)
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Your instructions: CSV, JSON, JSON Lines, Parquet, also compressed.")
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option("--endpoint", help="URL of a model server; it is asked which models it serves.")
    ] = None,
    key_env: Annotated[
        str, typer.Option("--key-env", help="Environment variable with the server's key.", show_default=False)
    ] = "",
    address: Annotated[
        str | None,
        typer.Option(help="Ray cluster whose GPUs are counted, as host:port or 'auto' (default: this machine's)."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    list_all: Annotated[bool, typer.Option("--list", help="List the templates.")] = False,
) -> None:
    """Write a commented study to start from. What can be found out is filled in."""
    if list_all:
        _list_templates()
        return
    from pipelines.study.starters.models import ask_server
    from pipelines.study.starters.own_data import inspect_data
    from pipelines.study.starters.starter import make_starter

    if key_env and not endpoint:
        raise InputError("--key-env has no effect without --endpoint", remedy="Add --endpoint URL, or omit --key-env.")
    name = template or ("endpoint" if endpoint else "own-data" if data else "quickstart")
    found = inspect_data(data) if data else None
    inventory = _inventory(address)
    server = ask_server(endpoint, key_env) if endpoint else None
    path = out or Path(f"{name}.yaml")
    starter = make_starter(name, path, data=found, server=server, gpus=inventory.gpus)
    starter.write(force)
    console = Console()
    for line in (
        *_found(found, server),
        _resources(inventory, address),
        f"Wrote {', '.join(map(str, (path, *starter.files)))}",
    ):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    command = f"evolgrid lock {path}" if starter.unpinned else f"evolgrid preview {path} -n 5"
    console.print(f"Next: [bold]{command}[/bold]", highlight=False, soft_wrap=True)


def _list_templates() -> None:
    from pipelines.study.starters.starter import summaries

    console = Console()
    for name, about in summaries().items():
        console.print(f"[bold]{name:<11}[/bold] {about}", highlight=False)
    console.print("\nWrite one: [bold]evolgrid init TEMPLATE[/bold]", highlight=False)


def _inventory(address: str | None) -> Inventory:
    """Return the resources of a cluster, or of this machine without an address."""
    from cluster.resources.inventory import machine, max_inventory

    if address is None:
        return machine()
    from cluster.connection.session import connect

    with connect(address):
        return max_inventory()


def _resources(inventory: Inventory, address: str | None) -> str:
    gpus = f"{inventory.gpus} GPU{'s' if inventory.gpus != 1 else ''}" if inventory.gpus else "no GPU"
    where = "This machine" if address is None else f"The cluster at {address}"
    return f"{where}: {inventory.cpus} CPUs, {inventory.memory_bytes / 2**30:.0f} GiB of memory, {gpus}"


def _found(data: OwnData | None, server: Server | None) -> Iterator[str]:
    from pipelines.study.starters.starter import describe_columns, describe_rows

    if data:
        yield f"{describe_rows(data)}. {describe_columns(data)}"
        if data.guessed:
            yield f"  The instruction was guessed; other columns of text: {', '.join(data.guessed)}"
    if server:
        names = ", ".join(server.models[:MAX_LISTED]) + (", ..." if len(server.models) > MAX_LISTED else "")
        yield f"{server.url} serves {len(server.models)} model{'s' if len(server.models) != 1 else ''}: {names}"


def add_init_command(app: typer.Typer) -> None:
    """Add the command to the app."""
    examples = (
        "evolgrid init",
        "evolgrid init --data instructions.csv",
        "evolgrid init --data instructions.csv --endpoint http://localhost:8000/v1",
        "evolgrid init evolvers --out my_study.yaml",
    )
    add_command(app, init, STUDY, *examples)
