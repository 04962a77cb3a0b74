"""Prints what the numbers of a study say of its claims."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.results.report.data.verdicts import ClaimVerdict
from pipelines.results.report.tables.number_format import signed_table_number
from pipelines.study.spec.presentation.miniature import miniature_note
from pipelines.study.spec.study import Study

_STYLES = {"supported": "green", "contradicted": "red", "not decided": "dim"}


def show_claims(console: Console, study: Study, verdicts: Sequence[ClaimVerdict]) -> None:
    """Print a line for each claim: what our numbers and the published ones say; nothing without claims."""
    if not verdicts:
        return
    if note := miniature_note(study.description):
        console.print(f"[bold yellow]{note}[/]")
    table = Table("claim", "ours", "difference", "paper's", title="Claims of the study file", title_justify="left")
    for one in verdicts:
        source = f" [dim]({escape(one.paper)})[/dim]" if one.paper else ""
        verdict = f"[{_STYLES[one.verdict]}]{one.verdict}[/]"
        table.add_row(escape(one.claim) + source, verdict, _difference(one), one.published_verdict or "–")
    console.print(table)


def _difference(one: ClaimVerdict) -> str:
    if one.difference is None:
        return f"none of {one.planned} pairs yet"
    interval = ""
    if one.low is not None and one.high is not None:
        interval = f" ({signed_table_number(one.low)} to {signed_table_number(one.high)})"
    return f"{signed_table_number(one.difference)}{interval}, {one.pairs} of {one.planned} pairs"
