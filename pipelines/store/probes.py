"""Probes of steps: the rows of the first seeds, made before all others. A later run of the step takes them over.

They are outputs of the step's partitions. A file beside them says up to which seed they are complete.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from pipelines.rows.arrow import schema
from pipelines.rows.kinds import ROW_TYPES
from pipelines.rows.types import Rejection
from pipelines.store.errors import CorruptStore
from pipelines.store.manifest import Account
from pipelines.store.partitions import find_partitions, partition_of, read_partition_tables
from pipelines.store.store import MANIFEST, Store

PROBE_FILE = "probe.json"


class Probe(BaseModel):
    """A step's rows of the seeds with an index below `seeds` are complete: `account` counts them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seeds: int
    account: Account


def save_probe(store: Store, kind: str, key: str, probe: Probe) -> None:
    """Save what a probe of an unfinished step has made. Finishing the step deletes it."""
    store.write_bytes(_path(store, kind, key), probe.model_dump_json().encode())


def load_probe(store: Store, kind: str, key: str) -> Probe | None:
    """Return the probe of an unfinished step; None if it has none, or no longer all of its rows."""
    try:
        probe = Probe.model_validate_json(store.read_bytes(_path(store, kind, key)))
        found = probed_account(store, kind, key, probe.seeds, probe.account.rows_in)
    except (FileNotFoundError, ValueError, CorruptStore):
        return None
    return probe if found == probe.account else None


def probed_account(store: Store, kind: str, key: str, seeds: int, rows_in: int) -> Account:
    """Return the account of an unfinished step's rows of its first seeds, which are made from `rows_in` rows.

    Raises:
        CorruptStore: If a partition's output is damaged.
    """
    rows, rejections = _probed(store, kind, key, seeds)
    statuses, reasons = (Counter[str](rejections[name].to_pylist()) for name in ("status", "reason"))
    return Account(
        rows_in=rows_in,
        rows_out=rows.num_rows,
        rejected=statuses["rejected"],
        failed=statuses["failed"],
        reasons=dict(sorted(reasons.items())),
    )


def first_rows(store: Store, kind: str, key: str, seeds: int, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the rows that a finished or probed step has made of the first `seeds` seeds, in order.

    Raises:
        CorruptStore: If a file is damaged.
    """
    if not store.fs.exists(posixpath.join(store.folder(kind, key), MANIFEST)):
        rows, _ = _probed(store, kind, key, seeds)
        return rows.select(columns) if columns else rows
    wanted = None if columns is None else [*dict.fromkeys(("index", *columns))]
    found = [_below(table, seeds) for table in store.tables(kind, key, columns=wanted)]
    return pa.concat_tables(found).select(columns or found[0].column_names)


def _probed(store: Store, kind: str, key: str, seeds: int) -> tuple[pa.Table, pa.Table]:
    outputs = find_partitions(store, kind, key)
    wanted = [outputs[number] for number in sorted(outputs) if number <= partition_of(max(seeds - 1, 0))]
    found = [read_partition_tables(store, kind, output) for output in wanted]
    empty = (schema(ROW_TYPES[kind]).empty_table(), schema(Rejection).empty_table())
    rows, rejections = (pa.concat_tables(tables) for tables in zip(empty, *found, strict=True))
    order = [("index", "ascending"), ("id", "ascending")]
    return _below(rows, seeds).sort_by(order), _below(rejections, seeds).sort_by(order)


def _below(table: pa.Table, seeds: int) -> pa.Table:
    return table.filter(pc.field("index") < seeds)


def _path(store: Store, kind: str, key: str) -> str:
    return posixpath.join(store.folder(kind, key), "parts", PROBE_FILE)
