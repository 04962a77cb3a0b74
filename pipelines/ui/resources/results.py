"""The results of a study: the grid as heat maps, and what is in one cell."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from pipelines.results.report.data.report import Result
from pipelines.results.report.tables.heatmap import heatmap_tables
from pipelines.ui.reading.answers import answers, computed_results, coordinates, reported_results
from pipelines.ui.reading.parameters import Parameters
from pipelines.ui.reading.reader import NotFound, StoreReader, StudyState

MAX_SECONDS = 0.4  # for numbers that are not in the report yet; the rest follows with the next requests
MAX_ANSWERS = 200


def list_results(reader: StoreReader, state: StudyState, parameters: Parameters) -> dict[str, Any]:
    """Return the results that are known, with their cells, and the heat maps.

    `unread` evaluations follow with the next requests, each of which reads at least one; `unfinished` ones are still to
    be run.
    """
    reported, deadline = reported_results(reader, state), time.monotonic() + MAX_SECONDS
    found: list[tuple[int, str, Result]] = []
    unread = unfinished = computed = 0
    for place, cell in enumerate(state.graph.record.cells):
        for name, key in cell.evaluations:
            if key not in state.finished:
                unfinished += 1
                continue
            known = reported.get(coordinates(cell, name)) or reader.results.get((key, place))
            if known is None and computed and time.monotonic() > deadline:
                unread += 1
                continue
            if known is None:
                computed += 1
                known = reader.results[key, place] = computed_results(reader, state, cell, name, key)
            found += [(place, key, result) for result in known]
    if not state.graph.record.cells:  # a store of an earlier version: the report alone
        found = [(-1, "", result) for known in reported.values() for result in known]
    sizes = [*state.graph.record.sizes.items()]
    return {
        "results": [
            asdict(result) | {"cell": place, "step": key, "measure": result.measure} for place, key, result in found
        ],
        "heat": [asdict(table) for table in heatmap_tables([result for _, _, result in found], sizes)],
        "unread": unread,
        "unfinished": unfinished,
    }


def cell_detail(reader: StoreReader, state: StudyState, parameters: Parameters) -> dict[str, Any]:
    """Return a cell with its evaluations and the answers of one of them. Parameters: `cell` (its place), `step`."""
    cells = state.graph.record.cells
    place = parameters.number("cell", 0, 10**9)
    if place >= len(cells):
        raise NotFound("this study has no such cell")
    cell, key = cells[place], parameters.text("step")
    if key not in {step for _, step in cell.evaluations}:
        raise NotFound("this cell has no such evaluation")
    rows = answers(reader, state, key)
    return {
        "cell": cell.model_dump(),
        "answers": [
            {
                "id": row.id,
                "task": row.task,
                "level": row.level,
                "instruction": row.instruction[:2000],
                "reference": row.reference[:500],
                "response": row.response[:2000],
                "correct": row.correct,
            }
            for row in rows[:MAX_ANSWERS]
        ],
        "count": len(rows),
        "train": state.graph.nodes[cell.train].label if cell.train in state.graph.nodes else "",
    }
