"""Prints the result of a run."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from cluster.plural import plural
from pipelines.api.views.failed_rows import failed_rows_hint
from pipelines.execution.runner import Summary

MAX_LABELS = 5


def show_summary(console: Console, summary: Summary) -> None:
    """Print the numbers of steps, the time, where the report is, and what has failed."""
    console.print(
        f"[bold]{summary.executed} steps run, {summary.reused} reused[/bold] in {summary.seconds:.0f} s"
        + (f" (planned: {summary.planned:.0f} s)" if summary.planned else ""),
        highlight=False,
    )
    console.print(f"Report: {summary.report}", soft_wrap=True, highlight=False)
    if summary.failed_rows:
        console.print(f"[yellow]{failed_rows_hint(summary.failed_rows)}[/yellow]", soft_wrap=True, highlight=False)
    if summary.failed_steps:
        shown = summary.failed_steps[:MAX_LABELS]
        labels = escape(", ".join(shown) + ("..." if len(summary.failed_steps) > MAX_LABELS else ""))
        console.print(f"[red]All rows have failed[/red] in: {labels}", soft_wrap=True, highlight=False)
    elif summary.failures:
        console.print(f"[red]Not trained, and not in the report: {plural(len(summary.failures), 'student')}[/red]")
