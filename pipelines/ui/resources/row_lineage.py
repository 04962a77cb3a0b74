"""One row in full, with all rows that it was made from, and the words that each step changed."""

from __future__ import annotations

from dataclasses import asdict
from itertools import pairwise
from typing import Any

from pipelines.results.lineage import ROW_FILES, Lineage, Link
from pipelines.results.report.tables.word_diff import segments
from pipelines.rows.types import InstructionRow, Row
from pipelines.ui.reading.graph import SavedStep
from pipelines.ui.reading.parameters import Parameters
from pipelines.ui.reading.reader import NotFound, StoreReader, StudyState

MAX_CHARACTERS = 100_000
COMMON = ("id", "parent_id", "seed_id", "index")


def row_chain(reader: StoreReader, state: StudyState, parameters: Parameters) -> dict[str, Any]:
    """Return the links from the seed down to a row. Parameters: `step` (a key), `file`, `id`."""
    step = state.graph.steps.get(parameters.text("step"))
    file = parameters.text("file", "rows")
    if step is None or step.key not in state.finished or file not in ROW_FILES:
        raise NotFound("this study has no such finished step")
    lineage = Lineage(reader.store, state.graph)
    links = lineage.chain_to(lineage.link(step, file, parameters.text("id")))
    found = [_link(link) for link in links]
    for (before, _), (after, shown) in pairwise(zip(links, found, strict=True)):
        if isinstance(before.row, InstructionRow) and isinstance(after.row, InstructionRow):
            pieces = segments(before.row.evolved, after.row.evolved)
            shown["changes"] = [(piece.change, piece.text[:MAX_CHARACTERS]) for piece in pieces]
    return {"links": found}


def _link(link: Link[SavedStep]) -> dict[str, Any]:
    return {
        "step": link.step.key,
        "kind": link.step.kind,
        "label": link.step.label,
        "id": link.row.id,
        "index": link.row.index,
        "method": link.method.method if link.method else "",
        "fields": _fields(link.row),
    }


def _fields(row: Row) -> list[tuple[str, Any]]:
    named = [(name, value) for name, value in asdict(row).items() if name not in COMMON]
    return [(name, _shown(value)) for name, value in named if value not in ("", [], b"")]


def _shown(value: Any) -> Any:
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if isinstance(value, str):
        return value if len(value) <= MAX_CHARACTERS else f"{value[:MAX_CHARACTERS]} … ({len(value):,} characters)"
    if isinstance(value, list):
        return [_shown(one) for one in value[:200]]  # pyright: ignore[reportUnknownVariableType]
    return value
