"""`evolgrid preview`: a few seeds through everything up to the scores, whose rows the run does not ask for again."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from pipelines.cli.common.options import (
    DEFAULT_STORE,
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    SeedFile,
    StoreUrl,
    StudyFile,
    load_and_check,
)
from pipelines.cli.common.quitting import quit_with
from pipelines.cli.common.registration import RUN, add_command


def preview(
    study: StudyFile,
    count: Annotated[int, typer.Option("-n", min=1, help="Number of seeds of each seed set.")] = 5,
    store: StoreUrl = DEFAULT_STORE,
    seeds: SeedFile = None,
    address: Annotated[
        str | None,
        typer.Option(help="Ray cluster to run the models on, as host:port or 'auto' (default: this machine)."),
    ] = None,
) -> None:
    """Show a few rows of everything up to the scores, and what the whole run will cost. Nothing is trained.

    The rows are real: the run does not ask for them again.
    """
    from pipelines.api.previews import preview_study
    from pipelines.api.process.signals import Terminated
    from pipelines.store.store import Store

    console = Console()
    loaded = load_and_check(study, seeds, local=address is None)
    try:
        found = preview_study(loaded, Store(store), count, address, console)
    except KeyboardInterrupt as why:
        message = "Interrupted. What was answered is kept: run the same command again to continue."
        quit_with(message, EXIT_TERMINATED if isinstance(why, Terminated) else EXIT_INTERRUPTED)
    found.show(console)
    console.print(f"Page: {found.page}", soft_wrap=True, highlight=False)
    console.print(f"Next: [bold]evolgrid run {study}[/bold]", soft_wrap=True, highlight=False)


def add_preview_command(app: typer.Typer) -> None:
    """Add the command to the app."""
    add_command(app, preview, RUN, "evolgrid preview studies/quickstart.yaml -n 3")
