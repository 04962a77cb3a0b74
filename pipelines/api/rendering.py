"""Renders what the command line prints as text, and as HTML for notebooks."""

from __future__ import annotations

import io
from collections.abc import Callable

from rich.console import Console

TEXT_WIDTH = 120  # columns
_PRE = "<pre style=\"line-height: 1.3; font-family: Menlo, 'DejaVu Sans Mono', Consolas, monospace\">{code}</pre>"

Show = Callable[[Console], None]


def as_text(show: Show) -> str:
    """Return what `show` prints, without colours."""
    stream = io.StringIO()
    show(Console(file=stream, width=TEXT_WIDTH, force_jupyter=False))
    return stream.getvalue().rstrip("\n")


def as_html(show: Show) -> str:
    """Return what `show` prints as HTML with colours."""
    console = Console(file=io.StringIO(), width=TEXT_WIDTH, record=True, force_jupyter=False, force_terminal=True)
    show(console)
    return console.export_html(inline_styles=True, code_format=_PRE)
