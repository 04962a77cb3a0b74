"""Adds commands to the app: with their examples, and under the heading of their group in the help."""

from __future__ import annotations

from collections.abc import Callable

import typer
from rich.markup import escape

STUDY = "Write a study"
RUN = "Run it"
RESULTS = "See the results"
STORE = "Look after the store"
JOBS = "On a cluster"


def add_command(app: typer.Typer, command: Callable[..., None], panel: str, *examples: str) -> None:
    """Add a command to the app, in one panel of the help, with examples below its own help."""
    epilog = "\n\n".join(f"Example: [bold]{escape(example)}[/bold]" for example in examples)
    app.command(epilog=epilog, rich_help_panel=panel)(command)
