"""Opens a store as SQL tables: steps and their row counts, the rows of every kind, and the results of all studies."""

from __future__ import annotations

import json
import posixpath
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipelines.results.report.csv_files import column_names
from pipelines.results.report.data.report import Result, SetScore
from pipelines.results.report.data.verdicts import ClaimVerdict
from pipelines.rows.arrow import schema
from pipelines.rows.kinds import ROW_TYPES
from pipelines.rows.types import Rejection
from pipelines.store.manifest import Manifest
from pipelines.store.store import Store
from pipelines.store.studies.retry_log import load_retries
from pipelines.store.studies.step_index import referenced_keys
from pipelines.study.spec.pairs.selection import reported_metrics

if TYPE_CHECKING:
    import duckdb

_STEPS = pa.schema(
    [
        ("key", pa.string()),
        ("kind", pa.string()),
        ("label", pa.string()),
        ("rows_in", pa.int64()),
        ("rows_out", pa.int64()),
        ("rejected", pa.int64()),
        ("failed", pa.int64()),
        ("bytes", pa.int64()),
        ("seconds", pa.float64()),
        ("finished", pa.string()),
        ("payload", pa.string()),
        ("versions", pa.string()),
    ]
)
_REASONS = pa.schema([("key", pa.string()), ("reason", pa.string()), ("rows", pa.int64())])
_MEMBERS = pa.schema([("study", pa.string()), ("key", pa.string())])
_RETRIES = pa.schema(
    [
        ("study", pa.string()),
        ("level", pa.string()),
        ("of", pa.string()),
        ("spent", pa.int64()),
        ("allowed", pa.string()),
    ]
)


def open_sql_tables(store: Store) -> duckdb.DuckDBPyConnection:
    """Return a connection with the store's content as tables; rows are not copied. The caller closes it.

    Tables: `steps` (`payload` and `versions` are JSON); `reasons` (numbers of rejections by step and reason); `members`
    (the steps of each study); one table per kind of step that writes rows, with a column `step` for the step's key;
    `rejected` (with `kind` and `step`); `retries` of every study's last run; `results`, `sets` and `claims` of all
    studies' reports, with a column `study`. A table without data is empty.
    """
    connection = connect(store)
    manifests = [store.manifest(kind, key) for kind, key in _finished_steps(store)]
    _register(connection, "steps", pa.Table.from_pylist([_step_record(manifest) for manifest in manifests], _STEPS))
    reasons = [(m.key, reason, rows) for m in manifests for reason, rows in m.account.reasons.items()]
    _register(connection, "reasons", _table(reasons, _REASONS))
    members = [(study, key) for study, keys in referenced_keys(store).items() for key in sorted(keys)]
    _register(connection, "members", _table(members, _MEMBERS))
    retries = [
        (study, *retry.model_dump().values())
        for study in _studies_with_retries(store)
        for retry in load_retries(store, study)
    ]
    _register(connection, "retries", _table(retries, _RETRIES))
    _register_rows(connection, store, manifests)
    for name, fact in (("results", Result), ("sets", SetScore), ("claims", ClaimVerdict)):
        _register_reports(connection, store, name, ["study", *column_names(fact, [*reported_metrics()])])
    return connection


def connect(store: Store) -> duckdb.DuckDBPyConnection:
    """Return a connection without tables that can read the store's files. The caller closes it."""
    import duckdb

    connection = duckdb.connect(config={"python_enable_replacements": "false"})
    if _remote(store):
        connection.register_filesystem(store.fs)
    return connection


def row_files(store: Store, manifests: Iterable[Manifest]) -> dict[str, list[str]]:
    """Return the addresses of finished steps' files of rows for DuckDB, by kind; those of rejections as "rejected"."""
    files: dict[str, list[str]] = defaultdict(list)
    for manifest in manifests:
        folder = store.folder(manifest.kind, manifest.key)
        for shard in manifest.shards if manifest.kind in ROW_TYPES else ():
            kind = "rejected" if shard.file.startswith("rejected") else manifest.kind
            files[kind].append(_file_address(store, posixpath.join(folder, shard.file)))
    return files


def select_rows(paths: Sequence[str], kind: str) -> str:
    """Return the query for all rows in files of one kind, with a column `step`; of rejections, also with `kind`."""
    listed = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
    path_columns = "split_part(filename, '/', -2) AS step"
    path_columns += ", split_part(filename, '/', -3) AS kind" if kind == "rejected" else ""
    read = f"read_parquet([{listed}], filename = true, union_by_name = true)"
    return f"SELECT * EXCLUDE (filename), {path_columns} FROM {read}"


def table_names(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the names of the connection's tables, sorted."""
    found = connection.sql("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
    return sorted(name for (name,) in found if not name.startswith("_"))


def _finished_steps(store: Store) -> list[tuple[str, str]]:
    paths = store.fs.glob(posixpath.join(store.root, "steps", "*", "*", "manifest.json"))
    return [(parts[-3], parts[-2]) for path in sorted(paths) if (parts := path.split("/"))]


def _studies_with_retries(store: Store) -> list[str]:
    paths = store.fs.glob(posixpath.join(store.root, "studies", "*", "retries.json"))
    return [path.split("/")[-2] for path in sorted(paths)]


def _step_record(manifest: Manifest) -> dict[str, Any]:
    account = manifest.account.model_dump(include={"rows_in", "rows_out", "rejected", "failed"})
    named = manifest.model_dump(include={"key", "kind", "label", "seconds", "finished"})
    json_columns = {"payload": json.dumps(manifest.payload), "versions": json.dumps(manifest.versions)}
    return {**named, **account, **json_columns, "bytes": sum(shard.bytes for shard in manifest.shards)}


def _register_rows(connection: duckdb.DuckDBPyConnection, store: Store, manifests: list[Manifest]) -> None:
    files = row_files(store, manifests)
    for kind, row_type in {**ROW_TYPES, "rejected": Rejection}.items():
        if kind in files:
            connection.execute(f'CREATE VIEW "{kind}" AS {select_rows(files[kind], kind)}')
        else:
            _register(connection, kind, schema(row_type).empty_table())


def _register_reports(connection: duckdb.DuckDBPyConnection, store: Store, name: str, columns: list[str]) -> None:
    found: list[str] = store.fs.glob(posixpath.join(store.root, "studies", "*", "report", f"{name}.csv"))
    # with a header-only file, DuckDB would read the number columns of all files as text
    paths = [path for path in sorted(found) if store.read_bytes(path).count(b"\n") > 1]
    if not paths:
        _register(connection, name, pa.schema([(column, pa.string()) for column in columns]).empty_table())
        return
    listed = ", ".join("'" + _file_address(store, path).replace("'", "''") + "'" for path in paths)
    read = f"read_csv([{listed}], filename = true, union_by_name = true, header = true)"
    study = "split_part(filename, '/', -3) AS study"
    connection.execute(f'CREATE VIEW "{name}" AS SELECT {study}, * EXCLUDE (filename) FROM {read}')


def _remote(store: Store) -> bool:
    return not store.url.startswith("file:")


def _file_address(store: Store, path: str) -> str:
    return store.fs.unstrip_protocol(path) if _remote(store) else path


def _register(connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    connection.register(f"_{name}", table)
    connection.execute(f'CREATE VIEW "{name}" AS SELECT * FROM "_{name}"')


def _table(rows: list[tuple[Any, ...]], fields: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(fields.names, row, strict=True)) for row in rows], fields)
