"""Prints what the search of a study may cost, before it is run."""

from __future__ import annotations

from dataclasses import replace

from rich.console import Console

from pipelines.search.simulate import RHO, simulate_cost
from pipelines.search.space import RungSettings
from pipelines.study.search_grid import SearchGrid


def show_search_cost(console: Console, searched: SearchGrid) -> None:
    """Print how many cells a search trains at least, at most and on average, by simulation."""
    cost = simulate_cost(searched.space, searched.settings)
    per_cell = max(len(found) for found in searched.trainings.values())
    trainings = f", of up to {per_cell} trainings each" if per_cell > 1 else ""
    over = " x ".join(searched.search.over)
    usual = f"{cost.mean:.0f} on average (9 of 10 searches: {cost.low:.0f} to {cost.high:.0f})"
    rungs, partial = searched.settings.rungs, ""
    if rungs.shares:
        shares = ", ".join(f"{100 * share:.4g} %" for share in rungs.shares)
        plain = simulate_cost(searched.space, replace(searched.settings, rungs=RungSettings()))
        partial = (
            f" Partial trainings on {shares} of the rows count as these shares, {cost.partial:.1f} on average; "
            f"without them, the average is {plain.mean:.0f}. They are assumed to have the rank correlation "
            f"{rungs.trust:g} with the scores, and need the answers of all arms."
        )
    whole = "the whole grid and all partial trainings" if partial else "the whole grid"
    console.print(
        f"[bold]Search[/bold] over {over}: trains {cost.least} to {cost.most:.0f} cells with its finals, {usual}; the "
        f"whole grid has {cost.grid}{trainings}. Simulated with a prior of rank correlation {RHO:g} with the scores."
        f"{partial} All other figures here are those of {whole}.",
        highlight=False,
        soft_wrap=True,
    )
