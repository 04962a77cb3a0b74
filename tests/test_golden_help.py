"""The `--help` of all commands, as it was: commands and options are promises.

After an intended change, rewrite the file with `python -m tests.test_golden_help` and review it as prose.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import typer
from typer.core import TyperCommand, TyperGroup

from pipelines.cli.app import app

GOLDEN = Path(__file__).parent / "golden" / "help.txt"
WIDTH = 100


def helps(command: TyperCommand | TyperGroup, name: str) -> Iterator[str]:
    """The help of a command and of those below it: plain text, whatever the terminal is."""
    command.rich_markup_mode = None
    context = typer.Context(command, info_name=name, terminal_width=WIDTH, max_content_width=WIDTH, color=False)
    yield command.get_help(context).replace("[bold]", "").replace("[/bold]", "").rstrip()
    for below, inner in getattr(command, "commands", {}).items():
        yield from helps(inner, f"{name} {below}")


def text() -> str:
    """All helps, one after the other."""
    return f"\n\n{'-' * WIDTH}\n\n".join(helps(typer.main.get_command(app), "evolgrid")) + "\n"


def test_every_help_is_as_it_was() -> None:
    assert text().splitlines() == GOLDEN.read_text().splitlines()


if __name__ == "__main__":
    GOLDEN.write_text(text())
