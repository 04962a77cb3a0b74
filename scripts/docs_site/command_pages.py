"""Renders the reference of the command line from the commands themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args

import typer

from pipelines.cli.app import app

_INTRO = """# Commands

Every command with its arguments and options, as `evolgrid COMMAND --help` shows them. An option with a variable may
also be set by it.

"""


def command_reference() -> str:
    """Return the page (Markdown): one section for each command, in the order of the help."""
    group = typer.main.get_command(app)
    return _INTRO + "".join(part for name, command in _commands(group, "evolgrid") for part in _section(name, command))


def _commands(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{prefix} {name}")
        elif not command.hidden:
            yield f"{prefix} {name}", command


def _section(name: str, command: Any) -> Iterator[str]:
    context = command.context_class(command, info_name=name)
    usage = command.get_usage(context).removeprefix("Usage: ")
    yield f"## {name}\n\n{_plain(command.help or '')}\n\n```text\n{usage}\n```\n\n"
    rows = [row for parameter in command.params for row in _row(parameter)]
    if rows:
        yield "| argument or option | meaning |\n|---|---|\n"
        yield from rows
        yield "\n"
    if command.epilog:
        yield f"{_plain(command.epilog)}\n\n"


def _row(parameter: Any) -> Iterator[str]:
    if parameter.name == "help" or getattr(parameter, "hidden", False):
        return
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts) if name.startswith("-"))
    shown = names or f"`{(parameter.metavar or parameter.name).upper()}`"
    facts = [_plain(getattr(parameter, "help", "") or "")]
    if choices := [each for each in get_args(parameter.type_descriptor.annotation) if isinstance(each, str)]:
        facts.append("One of " + ", ".join(f"`{choice}`" for choice in choices) + ".")
    default = parameter.default if not callable(parameter.default) else None
    if default not in (None, False, True, "", ()) and getattr(parameter, "show_default", True):
        facts.append(f"Default: `{default}`.")
    if variable := getattr(parameter, "envvar", None):
        facts.append(f"Variable: `{variable}`.")
    yield f"| {shown} | {' '.join(filter(None, facts)).replace('|', chr(92) + '|')} |\n"


def _plain(text: str) -> str:
    """Return help without Rich's markup, as Markdown."""
    text = re.sub(r"\[bold\](.*?)\[/bold\]", r"`\1`", text).replace("\\[", "[")
    return re.sub(r"<(?=\w)", "&lt;", text)
