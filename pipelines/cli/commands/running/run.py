"""`evolgrid run`: runs the steps of a study that are not in the store yet."""

from __future__ import annotations

import typer
from rich.console import Console

from pipelines.cli.common.options import (
    DEFAULT_STORE,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    Address,
    LogFile,
    RetryFailed,
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
    address: Address = None,
    log: LogFile = None,
    retry_failed: RetryFailed = False,
) -> None:
    """Run all steps of a study that are not in the store yet. If it is interrupted, run it again to continue."""
    from pipelines.api.process.signals import Terminated
    from pipelines.api.runs import run_study
    from pipelines.store.store import Store

    console = Console()
    loaded, target = load_and_check(study, seeds, local=address is None), Store(store)
    try:
        summary = run_study(loaded, target, address, console, retry_failed=retry_failed, log=log)
    except KeyboardInterrupt as why:
        message = "Interrupted. Finished work is kept: run the study again to continue."
        quit_with(message, EXIT_TERMINATED if isinstance(why, Terminated) else EXIT_INTERRUPTED)
    summary.show(console)
    if not summary.ok:
        raise typer.Exit(EXIT_FAILED)


def add_run_command(app: typer.Typer) -> None:
    """Add the command to the app."""
    add_command(app, run, RUN, "evolgrid run studies/quickstart.yaml")
