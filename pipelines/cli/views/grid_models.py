"""Prints the model of adaptive searches, fitted to a finished study."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from pipelines.results.predict.grid_model import GridModel, PriorQuality

MAX_PRIORS = 10
WITHOUT_PRIOR = "(no prior)"


def show_grid_models(console: Console, models: Sequence[GridModel]) -> None:
    """Print for each grid how well every prior predicts, and the predicted beside the measured scores."""
    if not models:
        return
    console.print(
        "\nThe model of adaptive searches: each score is predicted from all other cells, with one metric as the prior. "
        "R2 is 1 for perfect predictions and 0 for those of each student's mean. rho counts the metric's better end as "
        "high.\n"
    )
    for model in models:
        console.print(_priors_table(model))
        console.print(_cells_table(model))


def _priors_table(model: GridModel) -> Table:
    students = list(dict.fromkeys(cell.student for cell in model.cells))
    table = Table("prior", title=_title("Priors", model), title_justify="left")
    table.add_column("R2", justify="right")
    for student in students:
        table.add_column(f"rho, {student}", justify="right")
    for one in model.priors[:MAX_PRIORS]:
        table.add_row(one.metric or WITHOUT_PRIOR, _number(one.r2, ".2f"), *(_rho(one, name) for name in students))
    if (left := len(model.priors) - MAX_PRIORS) > 0:
        table.caption = f"{left} more with a lower R2"
    return table


def _cells_table(model: GridModel) -> Table:
    prior = model.priors[0].metric or WITHOUT_PRIOR
    table = Table("student", "trained on", title=_title(f"Predicted with {prior}", model), title_justify="left")
    for name in ("measured", "predicted", "difference"):
        table.add_column(name, justify="right")
    for cell in sorted(model.cells, key=lambda cell: (cell.student, -cell.measured)):
        numbers = f"{cell.measured:.1f}", f"{cell.expected:.1f}", f"{cell.expected - cell.measured:+.1f}"
        table.add_row(cell.student, cell.arm, *numbers)
    return table


def _title(what: str, model: GridModel) -> str:
    return f"{what}: {model.benchmark}, {model.place}" if model.place else f"{what}: {model.benchmark}"


def _rho(one: PriorQuality, student: str) -> str:
    return _number(one.rho.get(student, math.nan), "+.2f")


def _number(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "–"
