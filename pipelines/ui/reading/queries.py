"""Queries over the rows of a study's steps with DuckDB. Names of columns are checked, values are bound."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.errors import InputError
from pipelines.results.sql import connect, row_files, select_rows
from pipelines.rows.arrow import schema
from pipelines.rows.kinds import ROW_TYPES
from pipelines.rows.types import Rejection
from pipelines.store.manifest import Manifest
from pipelines.ui.reading.parameters import Parameters
from pipelines.ui.reading.reader import StoreReader, StudyState

TIMEOUT_SECONDS = 30.0
REJECTED = "rejected"
IDS = ("id", "parent_id", "seed_id")
OPERATORS = {"is": "=", "not": "<>", "gt": ">", "lt": "<", "ge": ">=", "le": "<="}


def columns_of(kind: str) -> dict[str, str]:
    """Return the columns of rows of a kind, with "text", "number", "bool" or "list"; without vectors."""
    row_type = Rejection if kind == REJECTED else ROW_TYPES[kind]
    return {field.name: type_ for field in schema(row_type) if (type_ := _type(str(field.type)))}


def _type(arrow: str) -> str:
    if arrow.startswith("list"):
        return "list"
    return {"string": "text", "bool": "bool", "binary": ""}.get(arrow, "number")


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows of some steps that pass filters: a kind, the files, and a WHERE clause with its values."""

    kind: str
    manifests: Sequence[Manifest]
    files: Sequence[str]
    where: str
    values: Sequence[Any]

    @property
    def source(self) -> str:
        """The query for the rows without filters."""
        return select_rows(self.files, self.kind)


def select(reader: StoreReader, state: StudyState, parameters: Parameters) -> Selection:
    """Return the rows that a request asks for.

    Parameters: `kind` (of the steps), `file` ("rows" or "rejected"), `step` (a key; repeated: several), `q` (a text
    that some column contains, or the start of an id), `f` (COLUMN:OPERATOR:VALUE, repeated).
    """
    kind, file = parameters.text("kind"), parameters.text("file", "rows")
    if kind not in ROW_TYPES:
        raise InputError(f"steps of the kind '{kind}' have no rows")
    wanted = set(parameters.texts("step"))
    found = reader.manifests(state, frozenset((kind,)))
    manifests = [manifest for manifest in found if not wanted or manifest.key in wanted]
    shown = REJECTED if file == REJECTED else kind
    where, values = _conditions(shown, parameters)
    return Selection(shown, manifests, row_files(reader.store, manifests).get(shown, []), where, values)


def fetch(reader: StoreReader, query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return the rows of a query.

    Raises:
        duckdb.InterruptException: It took longer than `TIMEOUT_SECONDS`.
    """
    with connect(reader.store) as connection:
        timer = threading.Timer(TIMEOUT_SECONDS, connection.interrupt)
        timer.start()
        try:
            return connection.execute(query, [*values]).fetchall()
        finally:
            timer.cancel()


def _conditions(kind: str, parameters: Parameters) -> tuple[str, list[Any]]:
    columns = columns_of(kind)
    clauses, values = list[str](), list[Any]()
    if text := parameters.text("q", "").strip():
        texts = [name for name, type_ in columns.items() if type_ == "text" and name not in IDS]
        found = [f'contains(lower("{name}"), ?)' for name in texts]
        clauses.append("(" + " OR ".join([*found, "starts_with(id, ?)"]) + ")")
        values += [text.lower()] * (len(texts) + 1)
    for given in parameters.texts("f"):
        clause, value = _condition(given, columns)
        clauses.append(clause)
        values.append(value)
    return (f" WHERE {' AND '.join(clauses)}" if clauses else ""), values


def _condition(given: str, columns: dict[str, str]) -> tuple[str, Any]:
    name, operator, value = ([*given.split(":", 2), "", ""])[:3]
    type_ = columns.get(name)
    if type_ is None or operator not in (*OPERATORS, "has"):
        raise InputError(f"'{given}' is not a filter", remedy="Filters are COLUMN:OPERATOR:VALUE.")
    if operator == "has":
        return f'contains(lower(CAST("{name}" AS VARCHAR)), ?)', value.lower()
    if type_ == "number":
        try:
            return f'"{name}" {OPERATORS[operator]} ?', float(value)
        except ValueError:
            raise InputError(f"{name} is a number, but '{value}' is none") from None
    if type_ == "bool":
        return f'"{name}" {OPERATORS[operator]} ?', value.lower() in ("true", "1", "yes")
    return f'CAST("{name}" AS VARCHAR) {OPERATORS[operator]} ?', value
