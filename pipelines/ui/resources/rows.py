"""A page of rows of a study's steps, and how many rows there are in all."""

from __future__ import annotations

from typing import Any

from pipelines.errors import InputError
from pipelines.rows.kinds import ROW_TYPES
from pipelines.ui.reading.parameters import Parameters
from pipelines.ui.reading.queries import IDS, REJECTED, columns_of, fetch, select
from pipelines.ui.reading.reader import StoreReader, StudyState

MAX_PAGE, MAX_OFFSET = 200, 10**9
SHOWN_CHARACTERS = 300


def page_of_rows(reader: StoreReader, state: StudyState, parameters: Parameters) -> dict[str, Any]:
    """Return a page of rows, sorted if wanted. Long texts are cut off; `row` returns one row in full.

    Parameters: those of `select`, and `sort` (a column), `down` ("1": descending), `offset` and `limit`.
    """
    kinds = [kind for kind in dict.fromkeys(state.graph.kinds.values()) if kind in ROW_TYPES]
    if not parameters.text("kind", "") and not kinds:
        return {"kinds": [], "columns": [], "rows": [], "more": False}
    found = select(reader, state, parameters)
    columns = columns_of(found.kind)
    shown = [name for name in columns if name not in IDS]
    answer: dict[str, Any] = {
        "kinds": kinds,
        "columns": [{"name": name, "type": columns[name]} for name in shown],
        "rows": [],
        "more": False,
    }
    if not found.files:
        return answer
    limit = parameters.number("limit", 50, MAX_PAGE)
    query = f"SELECT step, id, {', '.join(_shown(name, columns[name]) for name in shown)} FROM ({found.source})"
    query += f"{found.where}{_order(parameters, columns)} LIMIT {limit + 1}"
    query += f" OFFSET {parameters.number('offset', 0, MAX_OFFSET)}"
    rows = fetch(reader, query, found.values)
    return answer | {"rows": rows[:limit], "more": len(rows) > limit}


def count_rows(reader: StoreReader, state: StudyState, parameters: Parameters) -> dict[str, int]:
    """Return the number of rows that pass the filters, and that of all rows. Parameters: those of `select`."""
    found = select(reader, state, parameters)
    rejected = found.kind == REJECTED
    shards = [shard for manifest in found.manifests for shard in manifest.shards]
    total = sum(shard.rows for shard in shards if shard.file.startswith(REJECTED) == rejected)
    if not found.files or not found.where:
        return {"rows": total, "total": total}
    ((rows,),) = fetch(reader, f"SELECT count(*) FROM ({found.source}){found.where}", found.values)
    return {"rows": rows, "total": total}


def _shown(name: str, type_: str) -> str:
    if type_ in ("number", "bool"):
        return f'"{name}"'
    return f'left(CAST("{name}" AS VARCHAR), {SHOWN_CHARACTERS}) AS "{name}"'


def _order(parameters: Parameters, columns: dict[str, str]) -> str:
    name = parameters.text("sort", "")
    if not name:
        return ""
    if name not in columns:
        raise InputError(f"rows of this kind have no column '{name}'")
    direction = "DESC" if parameters.text("down", "") else "ASC"
    return f' ORDER BY "{name}" {direction} NULLS LAST'
