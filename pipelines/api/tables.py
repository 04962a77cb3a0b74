"""Results and rows of a study as Arrow tables, and as pandas ones if that is installed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, get_args, get_type_hints

import pyarrow as pa

from pipelines.errors import InputError, nearest
from pipelines.operators.select.measurements import list_reported
from pipelines.results.report.collect.data_sets import Sets
from pipelines.results.report.collect.results import collect_results
from pipelines.results.report.csv_files import Fact, column_names, fact_rows
from pipelines.results.report.data.report import Result, SetScore
from pipelines.results.report.data.set_key import SetKey
from pipelines.rows.arrow import schema
from pipelines.rows.kinds import ROW_TYPES
from pipelines.rows.types import Rejection
from pipelines.store.store import Store
from pipelines.study.file.load import LoadedStudy
from pipelines.study.graph.build import build
from pipelines.study.graph.steps.grid import Grid

if TYPE_CHECKING:
    import pandas as pd

TableFormat = Literal["arrow", "pandas"]
REJECTED = "rejected"
_TYPES = {int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def in_format(table: pa.Table, form: TableFormat) -> pa.Table | pd.DataFrame:
    """Return a table in the format that was asked for.

    Raises:
        InputError: There is no such format, or pandas is not installed.
    """
    if form == "arrow":
        return table
    if form != "pandas":
        raise InputError(f"there is no table format '{form}'", remedy="Use 'arrow' or 'pandas'.")
    if find_spec("pandas") is None:
        raise InputError("pandas is not installed", remedy="Run 'pip install pandas', or use the format 'arrow'.")
    return table.to_pandas()


def results_table(loaded: LoadedStudy, store: Store) -> pa.Table:
    """Return the scores of all students that are evaluated: the columns of the report's results.csv.

    `value`, `low` and `high` (95 % interval) are percentages; `by_level` is JSON.
    """
    grid = build(loaded.study, loaded.folder)
    done = store.finished_keys()
    manifests = {key: store.manifest(step.kind, key) for key, step in grid.steps.items() if key in done}
    return _fact_table(Result, collect_results(grid, store, manifests, loaded.folder))


def sets_table(loaded: LoadedStudy, store: Store) -> pa.Table:
    """Return the mean scores of all finished data sets: the columns of the report's sets.csv."""
    grid = build(loaded.study, loaded.folder)
    found = Sets(store, grid, store.finished_keys(), loaded.study.seed).scores()
    return _fact_table(SetScore, found, [metric.column for metric in list_reported(grid.sets)])


def rows_table(loaded: LoadedStudy, store: Store, kind: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the rows of all finished steps of a kind, with the columns `step` (its key) and `label` in front.

    The kind "rejected" has the rejected and failed rows of all kinds, with the column `kind` in front.

    Raises:
        InputError: There is no such kind or column.
    """
    if kind != REJECTED and kind not in ROW_TYPES:
        remedy = nearest(kind, [*ROW_TYPES, REJECTED])
        raise InputError(f"no kind of step with rows is named '{kind}'", remedy=remedy)
    row_schema = schema(Rejection if kind == REJECTED else ROW_TYPES[kind])
    for column in columns or ():
        if column not in row_schema.names:
            remedy = nearest(column, row_schema.names)
            raise InputError(f"rows of the kind '{kind}' have no column '{column}'", remedy=remedy)
    wanted = pa.schema([row_schema.field(name) for name in columns]) if columns else row_schema
    front = ["kind", "step", "label"] if kind == REJECTED else ["step", "label"]
    found = [*_labelled_tables(build(loaded.study, loaded.folder), store, kind, wanted.names, front)]
    empty = pa.schema([*((name, pa.string()) for name in front), *wanted]).empty_table()
    return pa.concat_tables([empty, *found], promote_options="default")


def _labelled_tables(
    grid: Grid, store: Store, kind: str, columns: list[str], front: Sequence[str]
) -> Iterator[pa.Table]:
    done, prefix = store.finished_keys(), REJECTED if kind == REJECTED else "rows"
    for key, step in grid.steps.items():
        if key not in done or step.kind not in ROW_TYPES or kind not in (REJECTED, step.kind):
            continue
        values = {"kind": step.kind, "step": key, "label": step.label}
        for table in store.tables(step.kind, key, prefix, columns):
            added = [pa.array([values[name]] * table.num_rows, pa.string()) for name in front]
            yield pa.table([*added, *table.columns], names=[*front, *table.column_names])


def _fact_table(kind: type[Fact], facts: Iterable[Fact], metrics: Sequence[str] = ()) -> pa.Table:
    names, types = column_names(kind, metrics), _column_types(kind)
    columns = [*zip(*fact_rows(kind, facts, metrics), strict=True)] or [()] * len(names)
    arrays = [
        pa.array(column, types.get(name, pa.float64() if name in metrics else pa.string()))
        for name, column in zip(names, columns, strict=True)
    ]
    return pa.table(arrays, names=names)


def _column_types(kind: Any) -> dict[str, pa.DataType]:
    """Return the Arrow types of the number fields of a class; all others are text."""
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)] if kind is not SetKey else SetKey._fields
    found: dict[str, pa.DataType] = {}
    for name in names:
        if hints[name] is SetKey:
            found |= _column_types(SetKey)
        for each in (hints[name], *get_args(hints[name])):
            if each in _TYPES and not isinstance(hints[name], str):
                found.setdefault(name, _TYPES[each])
    return found
