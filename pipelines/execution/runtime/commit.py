"""Commits a finished step: writes its manifest, after its shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pipelines.execution.runtime.events import emit
from pipelines.rows.arrow import column_types, schema
from pipelines.rows.kinds import ROW_TYPES
from pipelines.rows.types import Rejection, Row
from pipelines.store.manifest import Account, Manifest, Shard, versions
from pipelines.store.partitions import partition_of
from pipelines.store.shards import SHARD_PARTITIONS, write_shard
from pipelines.store.store import Store
from pipelines.study.graph.steps.fingerprint import canonical
from pipelines.study.graph.steps.step import Step


def commit_step(
    store: Store,
    step: Step,
    account: Account,
    shards: tuple[Shard, ...],
    seconds: float,
    extra: Mapping[str, Any] | None = None,
) -> Manifest:
    """Write the manifest of a step whose shards are already in the store, and return it.

    Raises:
        RuntimeError: If rows are missing or duplicated.
    """
    account.check(step.label)
    manifest = Manifest(
        key=step.key,
        kind=step.kind,
        label=step.label,
        payload=canonical(dict(step.payload)),
        inputs=tuple(needed.key for needed in step.inputs),
        account=account,
        shards=shards,
        schemas=_schemas(step.kind),
        seconds=round(seconds, 3),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=versions(),
        extra=dict(extra or {}),
    )
    store.commit(manifest)
    counts = account.model_dump(exclude={"reasons"})
    emit("step finished", step=step.key, kind=step.kind, label=step.label, seconds=manifest.seconds, **counts)
    if account.failed:
        _log_failed_rows(store, step)
    return manifest


def _schemas(kind: str) -> dict[str, dict[str, str]]:
    if kind not in ROW_TYPES:
        return {}
    return {"rows": column_types(schema(ROW_TYPES[kind])), "rejected": column_types(schema(Rejection))}


def _log_failed_rows(store: Store, step: Step) -> None:
    """Log each row on which an engine failed. Rejected rows are not logged: they are results, kept in the store."""
    for lost in store.tables(step.kind, step.key, "rejected", ["id", "seed_id", "status", "reason"]):
        for row in lost.to_pylist():
            if row["status"] == "failed":
                names = {"row": row["id"], "seed": row["seed_id"], "reason": row["reason"]}
                emit("row failed", step=step.key, kind=step.kind, **names)


def commit_rows(
    store: Store,
    step: Step,
    rows: list[Row],
    rejections: list[Rejection],
    rows_in: int,
    seconds: float,
    extra: Mapping[str, Any] | None = None,
) -> Manifest:
    """Write and commit a step whose rows are all in memory."""
    shards: list[Shard] = []
    for number in sorted({rows_shard(row) for row in (*rows, *rejections)}) or [0]:
        shards += write_shard(
            store,
            step.kind,
            step.key,
            number,
            [row for row in rows if rows_shard(row) == number],
            [row for row in rejections if rows_shard(row) == number],
        )
    failed = sum(rejection.status == "failed" for rejection in rejections)
    account = Account(
        rows_in=rows_in,
        rows_out=len(rows),
        rejected=len(rejections) - failed,
        failed=failed,
        reasons=dict(sorted(Counter(rejection.reason for rejection in rejections).items())),
    )
    return commit_step(store, step, account, tuple(shards), seconds, extra)


def rows_shard(row: Row) -> int:
    """Return the number of the shard that a row belongs to."""
    return partition_of(row.index) // SHARD_PARTITIONS
