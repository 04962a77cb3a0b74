"""`evolgrid lock`: pins the names of models and data sets on the hub to commits, in a file beside the study."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from pipelines.cli.common.options import StudyFile
from pipelines.cli.common.registration import STUDY, add_command

SHORT_COMMIT = 12


def lock(
    study: StudyFile,
    update: Annotated[
        list[str] | None,
        typer.Option("--update", help="Name of a model or data set whose commit is asked for again."),
    ] = None,
) -> None:
    """Pin models and data sets on the hub to commits, so that the study may name a branch such as 'main'.

    The commits are written to STUDY.lock beside the study, which plan and run read.
    """
    from pipelines.study.locking.resolve import lock_study

    path, pins = lock_study(study, update or ())
    console = Console()
    for pin in pins:
        before = pin.before and pin.before[:SHORT_COMMIT]
        changed = "" if before == pin.commit[:SHORT_COMMIT] else f" (was {before})" if before else " (new)"
        line = f"{pin.reference.name} {pin.reference.revision} -> {pin.commit[:SHORT_COMMIT]}{changed}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    summary = f"Wrote {path}" if pins else "Nothing to pin: the study names no branch or tag on the hub"
    console.print(summary, highlight=False, markup=False, soft_wrap=True)
    console.print(f"Next: [bold]evolgrid preview {study} -n 5[/bold]", highlight=False, soft_wrap=True)


def add_lock_command(app: typer.Typer) -> None:
    """Add the command to the app."""
    add_command(app, lock, STUDY, "evolgrid lock study.yaml", "evolgrid lock study.yaml --update org/model")
