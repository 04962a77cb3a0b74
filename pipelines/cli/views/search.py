"""Prints how far the search of a study is: trained and skipped cells, and the risk that a better arm was skipped."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.results.report.data.search import RungSummary, SearchSummary


def show_search(console: Console, search: SearchSummary) -> None:
    """Print a search: a line for all of it, a table of its cells, and the best arms."""
    state = "has stopped" if search.finished else f"stops at a risk of {search.risk:g}"
    counts = ", ".join(f"{len(search.of_state(name))} {name}" for name in ("trained", "training", "skipped", "failed"))
    console.print(f"[bold]Search[/bold] over {' x '.join(search.over)}: {counts}; it {state}", highlight=False)
    for rung in search.rungs:
        console.print(_rung_line(rung), highlight=False, soft_wrap=True)
    table = Table("student", "arm", "state")
    used = [place for place, rung in enumerate(search.rungs) if rung.trained]
    for name in (*(f"on {search.rungs[place].percent}" for place in used), "score", "expected", "risk"):
        table.add_column(name, justify="right")
    for cell in search.cells:
        partial = (_number(cell.partial[place], 2) for place in used)
        numbers = (*partial, _number(cell.score, 2), _number(cell.expected, 2), _number(cell.risk, 3))
        table.add_row(escape(cell.student), escape(cell.arm), cell.state, *numbers)
    console.print(table)
    for group in search.groups:
        others = [arm for arm in group.inseparable if arm != group.best]
        tied = f", not separated from {', '.join(others)}" if others else ""
        students = " + ".join(group.students)
        text = f"{students}: best is {group.best or 'not known'}{tied}; risk of a better arm {group.risk:.3f}"
        console.print(escape(text), highlight=False, soft_wrap=True)


def _rung_line(rung: RungSummary) -> str:
    """Return what is known of the partial trainings on a share of the rows."""
    cost = f"{rung.trained} finished, which count as {rung.share * rung.trained:.1f} full ones"
    correlation = "all scores are equal" if rung.rho is None else f"Spearman {rung.rho:.2f}"
    measured = f": {correlation} over {rung.cells} cells, {rung.trust:g} is needed" if rung.cells else ""
    return f"Partial trainings on {rung.percent} of the rows: {cost}; {rung.state}{measured}"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
