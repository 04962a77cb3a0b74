"""Distributions of scores over data sets."""

from __future__ import annotations

from typing import Any

from pipelines.errors import InputError
from pipelines.results.sql import row_files, select_rows
from pipelines.ui.reading.measures import Measure, list_measures, list_series
from pipelines.ui.reading.parameters import Parameters
from pipelines.ui.reading.queries import fetch
from pipelines.ui.reading.reader import StoreReader, StudyState

BINS = 32
MAX_SERIES = 40


def distributions(reader: StoreReader, state: StudyState, parameters: Parameters) -> dict[str, Any]:
    """Return the histogram and the quartiles of a measure for every data set, over the same bins.

    The bins cover the middle 98 % of all values; values outside are counted in the outer bins. Parameter: `measure`
    (KIND.COLUMN).
    """
    measures = list_measures(state)
    if not measures:
        return {"measures": [], "series": []}
    measure = chosen_measure(measures, parameters)
    series = list_series(state, measure.kind)
    steps = {one.step: one for one in series[:MAX_SERIES]}
    files = row_files(reader.store, [reader.manifest(state, key) for key in steps]).get(measure.kind, [])
    answer: dict[str, Any] = {
        "measures": [{"name": f"{one.kind}.{one.column}", "label": one.label} for one in measures],
        "measure": f"{measure.kind}.{measure.column}",
        "label": measure.label,
        "left_out": max(0, len(series) - MAX_SERIES),
        "series": [],
    }
    if not files:
        return answer
    values = f'SELECT step, CAST("{measure.column}" AS DOUBLE) AS v FROM ({select_rows(files, measure.kind)})'
    values = f"SELECT * FROM ({values}) WHERE isfinite(v)"
    ((low, high),) = fetch(reader, f"SELECT quantile_cont(v, 0.01), quantile_cont(v, 0.99) FROM ({values})", [])
    if low is None:
        return answer
    width = (high - low) / BINS or 1.0
    binned = f"least({BINS - 1}, greatest(0, CAST(floor((v - ?) / ?) AS INTEGER)))"
    counts = fetch(reader, f"SELECT step, {binned} AS bin, count(*) FROM ({values}) GROUP BY ALL", [low, width])
    quartiles = "avg(v), quantile_cont(v, 0.25), median(v), quantile_cont(v, 0.75), min(v), max(v), count(*)"
    summaries = {row[0]: row[1:] for row in fetch(reader, f"SELECT step, {quartiles} FROM ({values}) GROUP BY 1", [])}
    bins = {key: [0] * BINS for key in steps}
    for step, number, count in counts:
        bins[step][number] = count
    names = ("mean", "low", "median", "high", "least", "most", "rows")
    shown = [
        {"set": one.set, "label": one.label, "step": key, "bins": bins[key]}
        | dict(zip(names, summaries[key], strict=True))
        for key, one in steps.items()
        if key in summaries
    ]
    return answer | {"low": low, "width": width, "series": shown}


def chosen_measure(measures: list[Measure], parameters: Parameters) -> Measure:
    """Return the measure that a request asks for, by default the first.

    Raises:
        InputError: There is no such measure.
    """
    wanted = parameters.text("measure", "")
    if not wanted:
        return measures[0]
    for one in measures:
        if f"{one.kind}.{one.column}" == wanted:
            return one
    raise InputError(f"this study has no measure '{wanted}'")
