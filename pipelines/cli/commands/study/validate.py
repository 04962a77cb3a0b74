"""`evolgrid validate`: all mistakes of a study file at once, without a cluster."""

from __future__ import annotations

import typer
from rich.console import Console

from pipelines.cli.common.options import EXIT_BAD_INPUT, SeedFile, StudyFile
from pipelines.cli.common.registration import STUDY, add_command
from pipelines.errors import InputError, InputErrors


def validate(study: StudyFile, seeds: SeedFile = None) -> None:
    """Check a study file without running anything. Every mistake is one line; then the exit code is 2."""
    from pipelines.cli.views.study.validity import validity_line
    from pipelines.study.validate import validate as validated

    try:
        found = validated(study, seeds)
    except InputError as error:
        console = Console(stderr=True)
        for mistake in error.problems if isinstance(error, InputErrors) else [error]:
            console.print(str(mistake), style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(EXIT_BAD_INPUT) from None
    Console().print(validity_line(found), highlight=False, markup=False, soft_wrap=True)


def add_validate_command(app: typer.Typer) -> None:
    """Add the command to the app."""
    add_command(app, validate, STUDY, "evolgrid validate studies/quickstart.yaml")
