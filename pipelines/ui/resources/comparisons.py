"""Paired comparisons of any two students, or of any two data sets, with the report's test."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pipelines.evaluate.scores import metric_label
from pipelines.results.report.data.comparisons import Difference, difference
from pipelines.results.report.data.task_scores import TaskScores
from pipelines.results.sql import row_files, select_rows
from pipelines.store.studies.graph_record import CellNode
from pipelines.ui.reading.answers import points
from pipelines.ui.reading.measures import Measure, list_measures, list_series, set_label
from pipelines.ui.reading.parameters import Parameters
from pipelines.ui.reading.queries import fetch
from pipelines.ui.reading.reader import NotFound, StoreReader, StudyState

MAX_SEEDS = 2000  # of two data sets; of more, a sample is compared


def compare(reader: StoreReader, state: StudyState, parameters: Parameters) -> dict[str, Any]:
    """Return what can be compared and, if two are chosen, their differences.

    Parameters: `of` ("students" or "sets"), `a` and `b` (places in the list of options).
    """
    of_sets = parameters.text("of", "students") == "sets"
    options = _sets(state) if of_sets else _students(state)
    answer: dict[str, Any] = {"options": [{"label": label, "ready": ready} for label, ready in options], "lines": []}
    if not parameters.text("a", "") or not parameters.text("b", ""):
        return answer
    first, second = (parameters.number(name, 0, 10**9) for name in ("a", "b"))
    if max(first, second) >= len(options):
        raise NotFound("there is no such student or data set to compare")
    lines = _compare_sets if of_sets else _compare_students
    return answer | {"a": first, "b": second, "lines": lines(reader, state, first, second)}


def _students(state: StudyState) -> list[tuple[str, bool]]:
    return [
        (_student_label(cell), any(key in state.finished for _, key in cell.evaluations))
        for cell in state.graph.record.cells
    ]


def _student_label(cell: CellNode) -> str:
    if not cell.train:
        return f"{cell.student}, untuned"
    source = f"{cell.evolver} r{cell.round}" if cell.evolver else cell.seeds
    seeds = "".join(f" seed {seed}" for seed in (cell.answer_seed, cell.seed) if seed is not None)
    selection = "" if cell.selection == "all" else f", {cell.selection}"
    return f"{cell.student} {cell.recipe} on {source} → {cell.teacher} {cell.decoding}{selection}{seeds}"


def _compare_students(reader: StoreReader, state: StudyState, first: int, second: int) -> list[dict[str, Any]]:
    cells = state.graph.record.cells
    other = dict(cells[second].evaluations)
    lines: list[dict[str, Any]] = []
    for name, key in cells[first].evaluations:
        if key not in state.finished or other.get(name) not in state.finished:
            continue
        a, b = points(reader, state, name, key), points(reader, state, name, other[name])
        lines += [
            _line(f"{name} {metric_label(measure)}", a[measure], b[measure], 1.0) for measure in a if measure in b
        ]
    return lines


def _line(label: str, a: TaskScores, b: TaskScores, scale: float) -> dict[str, Any]:
    tasks = a.possible.keys() & b.possible.keys()
    higher = sum(a.earned[task] * b.possible[task] > b.earned[task] * a.possible[task] for task in tasks)
    lower = sum(a.earned[task] * b.possible[task] < b.earned[task] * a.possible[task] for task in tasks)
    found = difference([((a,), (b,))])
    return {
        "label": label,
        "a": scale * a.value,
        "b": scale * b.value,
        "tasks": len(tasks),
        "higher": higher,
        "lower": lower,
        "difference": asdict(_scaled(found, scale)) if found else None,
        "percent": scale == 1.0,
    }


def _scaled(found: Difference, scale: float) -> Difference:
    return Difference(found.points * scale, found.low * scale, found.high * scale, found.p)


def _sets(state: StudyState) -> list[tuple[str, bool]]:
    return [
        (set_label(state, place), any(key in state.finished for key in one.steps))
        for place, one in enumerate(state.graph.record.sets)
    ]


def _compare_sets(reader: StoreReader, state: StudyState, first: int, second: int) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for measure in list_measures(state):
        series = list_series(state, measure.kind)
        steps = [next((one.step for one in series if one.set == place), None) for place in (first, second)]
        if steps[0] and steps[1] and (line := _compare_steps(reader, state, measure, steps[0], steps[1])):
            lines.append(line)
    return lines


def _compare_steps(
    reader: StoreReader, state: StudyState, measure: Measure, first: str, second: str
) -> dict[str, Any] | None:
    """Compare the means of a measure over the seeds that two steps share: of each seed, the mean over its rows."""
    sides = [
        f'SELECT seed_id, avg(CAST("{measure.column}" AS DOUBLE)) AS v FROM '
        f"({select_rows(row_files(reader.store, [reader.manifest(state, key)])[measure.kind], measure.kind)}) "
        f'WHERE isfinite(CAST("{measure.column}" AS DOUBLE)) GROUP BY seed_id'
        for key in (first, second)
    ]
    query = f"SELECT a.seed_id, a.v, b.v FROM ({sides[0]}) a JOIN ({sides[1]}) b USING (seed_id)"
    rows = fetch(reader, f"{query} ORDER BY md5(a.seed_id) LIMIT {MAX_SEEDS}", [])
    if not rows:
        return None
    a, b = TaskScores({}, {}), TaskScores({}, {})
    for seed, of_a, of_b in rows:
        a.add(seed, of_a, 1.0)
        b.add(seed, of_b, 1.0)
    return _line(measure.label, a, b, 0.01)
