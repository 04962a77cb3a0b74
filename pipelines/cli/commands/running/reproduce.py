"""`evolgrid reproduce`: runs the studies of a paper's table or figure, also in miniature."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pipelines.cli.common.options import DEFAULT_STORE, Address, LogFile, RetryFailed, StoreUrl, load_and_check
from pipelines.cli.common.registration import RUN, add_command

if TYPE_CHECKING:
    from pipelines.reproduction.catalog import PaperStudy


def reproduce(
    table: Annotated[
        list[str] | None,
        typer.Argument(help="A table, a figure or a study, such as 2412.11231/table-5.", show_default=False),
    ] = None,
    small: Annotated[
        bool, typer.Option("--small", help="Run it in miniature: bundled models, tiny trainings, no download.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the plan.")] = False,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder",
            help="Folder of the studies (default: studies/papers; with --small: evolgrid-small).",
            show_default=False,
        ),
    ] = None,
    store: StoreUrl = DEFAULT_STORE,
    address: Address = None,
    log: LogFile = None,
    retry_failed: RetryFailed = False,
) -> None:
    """Run the studies of a paper's table or figure. Without a name, list all of them."""
    from pipelines.cli.commands.running.run import run
    from pipelines.cli.views.reproduction import show_tables
    from pipelines.reproduction.catalog import studies_of

    if not table:
        show_tables(Console())
        return
    for study in studies_of(" ".join(table)):
        path = _placed(study, folder, small)
        if dry_run:
            _plan(path, store)
        else:
            run(path, store, None, address, log, retry_failed)


def _placed(study: PaperStudy, folder: Path | None, small: bool) -> Path:
    """Write the study's file and return its path."""
    from pipelines.cli.views.reproduction import show_miniature
    from pipelines.reproduction.places import FULL_FOLDER, SMALL_FOLDER, place_miniature, place_study

    if not small:
        return place_study(study, folder or FULL_FOLDER)
    path, made = place_miniature(study, folder or SMALL_FOLDER)
    show_miniature(Console(), study, path, made)
    return path


def _plan(path: Path, store: str) -> None:
    from pipelines.api.plans import plan_study
    from pipelines.store.store import Store

    plan_study(load_and_check(path, None), Store(store)).show(Console())


def add_reproduce_command(app: typer.Typer) -> None:
    """Add the command to the app."""
    add_command(
        app,
        reproduce,
        RUN,
        "evolgrid reproduce",
        "evolgrid reproduce 2412.11231/table-5 --small",
        'evolgrid reproduce "2411.07133 figure 3" --dry-run',
        "evolgrid reproduce 2412.11231/evolvers_code --store s3://bucket/folder --address auto",
    )
