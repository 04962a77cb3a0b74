"""`evolgrid run`: runs the steps of a study that are not in the store yet."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from pipelines.cli.common.options import (
    DEFAULT_STORE,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    LogFile,
    SeedFile,
    StoreUrl,
    StudyFile,
    load_and_check,
)
from pipelines.cli.common.quitting import quit_with
from pipelines.cli.common.registration import RUN, add_command


def run(
    study: StudyFile,
    store: StoreUrl = DEFAULT_STORE,
    seeds: SeedFile = None,
    address: Annotated[
        str | None,
        typer.Option(help="Ray cluster to connect to, as host:port or 'auto' (default: start a local one)."),
    ] = None,
    log: LogFile = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Ask the failed rows of finished steps again, and only those.")
    ] = False,
) -> None:
    """Run all steps of a study that are not in the store yet. If it is interrupted, run it again to continue."""
    from pipelines.cli.common.signals import Terminated, sigterm_as_interrupt
    from pipelines.cli.common.stderr import redirect_stderr
    from pipelines.cli.views.failed_rows import failed_rows_hint
    from pipelines.execution.runner import run as run_study
    from pipelines.execution.runtime.events import log_to
    from pipelines.store.store import Store

    console = Console()
    loaded, target = load_and_check(study, seeds, local=address is None), Store(store)
    try:
        with redirect_stderr(), sigterm_as_interrupt(), log_to(log, target, loaded.study.study):
            summary = run_study(loaded, target, address, console, retry_failed=retry_failed)
    except KeyboardInterrupt as why:
        message = "Interrupted. Finished work is kept: run the same command again to continue."
        quit_with(message, EXIT_TERMINATED if isinstance(why, Terminated) else EXIT_INTERRUPTED)
    console.print(
        f"[bold]{summary.executed} steps run, {summary.reused} reused[/bold] in {summary.seconds:.0f} s"
        + (f" (planned: {summary.planned:.0f} s)" if summary.planned else ""),
        highlight=False,
    )
    console.print(f"Report: {summary.report}", soft_wrap=True, highlight=False)
    if summary.failed_rows:
        console.print(f"[yellow]{failed_rows_hint(summary.failed_rows)}[/yellow]", soft_wrap=True, highlight=False)
    if summary.failed_steps:
        labels = escape(", ".join(summary.failed_steps[:5]) + ("..." if len(summary.failed_steps) > 5 else ""))
        console.print(f"[red]All rows have failed[/red] in: {labels}", soft_wrap=True, highlight=False)
        raise typer.Exit(EXIT_FAILED)
    if summary.failures:
        console.print(f"[red]{len(summary.failures)} students could not be trained[/red] and are not in the report")
        raise typer.Exit(EXIT_FAILED)


def add_run_command(app: typer.Typer) -> None:
    """Add the command to the app."""
    add_command(app, run, RUN, "evolgrid run studies/quickstart.yaml")
