"""Prints how well the metrics of data sets predict the accuracy of students."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from pipelines.results.predict.correlation import Correlation
from pipelines.results.predict.paradox import Paradox
from pipelines.results.predict.performance import MIN_POINTS, ComparisonGroup
from pipelines.results.predict.study import Prediction

NO_PREDICTIONS = "No student of this study is trained and evaluated yet: run the study first."


def show_predictions(
    console: Console,
    found: Mapping[ComparisonGroup, Sequence[Prediction]],
    paradox: Sequence[Paradox],
    unknown: Sequence[str] = (),
) -> None:
    """Print a table for each comparison group, and how often a smaller teacher's students beat a larger teacher's.

    `unknown` are the teachers that cannot be compared by size.
    """
    if not found:
        console.print(NO_PREDICTIONS)
        return
    console.print(
        "Spearman's rho between the mean of a metric and the student's performance, over the data sets that a table "
        "compares, with its 95 % bootstrap interval.\n"
    )
    for group, predictions in found.items():
        console.print(_predictions_table(group, predictions))
    for one in paradox:
        if one.bases:
            console.print(f"{one.smaller} beats the larger {one.larger} in {one.smaller_wins} of {one.bases} cases")
    if len(unknown) > 1:
        remedy = "give them 'family' and 'parameters' under 'models'"
        console.print(f"Not compared by size: {', '.join(unknown)}. To compare them, {remedy}.", soft_wrap=True)


def _predictions_table(place: ComparisonGroup, predictions: Sequence[Prediction]) -> Table:
    where = ", ".join(filter(None, (place.seeds, place.place)))
    title = f"{place.student} on {place.benchmark}, trained on '{place.selection}' of {where}"
    table = Table("metric", title=title, title_justify="left")
    for name in ("rho", "95 % interval", "sets"):
        table.add_column(name, justify="right")
    for one in predictions:
        sets = f"{one.points}" + (f" ({one.left_out} without it)" if one.left_out else "")
        table.add_row(one.metric, *_format_correlation(one.correlation), sets)
    return table


def _format_correlation(found: Correlation | None) -> tuple[str, str]:
    if found is None:
        return "–", f"fewer than {MIN_POINTS} sets"
    if math.isnan(found.rho):
        return "–", "all values are equal"
    if math.isnan(found.low):
        return f"{found.rho:+.3f}", "too many equal values"
    return f"{found.rho:+.3f}", f"{found.low:+.3f} to {found.high:+.3f}"
