"""Prints the papers' tables and figures, and which checkpoints the models of a miniature have."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from rich.console import Console

from pipelines.reproduction.catalog import PaperStudy, paper_tables, study_costs
from pipelines.reproduction.small.study import Miniature

MAX_LISTED = 8


def show_tables(console: Console) -> None:
    """Print every table and figure below its studies, with what it shows and what the studies cost."""
    for paper, tables in groupby(paper_tables(), key=lambda table: table.paper):
        console.print(f"[bold]{paper}[/bold]", highlight=False)
        for studies, shown in groupby(tables, key=lambda table: table.studies):
            for study in studies:
                console.print(f"  [cyan]{study}[/cyan]{_cost(f'{paper}/{study}')}", highlight=False)
            for table in shown:
                console.print(f"    {table.name:<11}{table.shows}", highlight=False, markup=False, soft_wrap=True)
        console.print()
    console.print("GPU-hours are estimates for H100 (studies/papers/README.md).", highlight=False)
    console.print(
        "In minutes, without a GPU: [bold]evolgrid reproduce 2412.11231/table-5 --small[/bold]", highlight=False
    )


def _cost(study: str) -> str:
    cost = study_costs().get(study)
    if cost is None:
        return ""
    hours = "" if cost.gpu_hours == "-" else f", {cost.gpu_hours} GPU-hours"
    return f"  {cost.trainings} trainings{hours}"


def show_miniature(console: Console, study: PaperStudy, path: Path, small: Miniature) -> None:
    """Print what a miniature consists of, and what of the study it does not have."""
    console.print(f"[bold]{study.id}[/bold] in miniature: {path}", highlight=False, soft_wrap=True)
    lines = [f"{name} is {checkpoint.text}" for name, checkpoint in small.checkpoints.items()]
    hidden = len(lines) - MAX_LISTED
    lines = lines[:MAX_LISTED] + ([f"and {hidden} more, see the file"] if hidden > 0 else [])
    lines += [f"without {reason}" for reason in small.left_out]
    for line in (
        *lines,
        "The grid is the paper's. The numbers are of the closed world: they show that the study works.",
    ):
        console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
