"""Prints what the search of a study may cost, before it is run."""

from __future__ import annotations

from rich.console import Console

from pipelines.search.simulate import RHO, simulate_cost
from pipelines.study.search_grid import SearchGrid


def show_search_cost(console: Console, searched: SearchGrid) -> None:
    """Print how many cells a search trains at least, at most and on average, by simulation."""
    cost = simulate_cost(searched.space, searched.settings)
    per_cell = max(len(found) for found in searched.trainings.values())
    trainings = f", of up to {per_cell} trainings each" if per_cell > 1 else ""
    over = " x ".join(searched.search.over)
    usual = f"{cost.mean:.0f} on average (9 of 10 searches: {cost.low} to {cost.high})"
    console.print(
        f"[bold]Search[/bold] over {over}: trains {cost.least} to {cost.most} cells with its finals, {usual}; the "
        f"whole grid has {cost.grid}{trainings}. Simulated with a prior of rank correlation {RHO:g} with the scores. "
        "All other figures here are those of the whole grid.",
        highlight=False,
        soft_wrap=True,
    )
