"""Takes failed rows out of a step, so that a run asks for them again and takes over all others."""

from __future__ import annotations

from collections import defaultdict

from pipelines.rows.arrow import from_table
from pipelines.rows.kinds import ROW_TYPES
from pipelines.rows.types import Rejection, Row
from pipelines.store.journal import JOURNAL_SUFFIX
from pipelines.store.manifest import Account
from pipelines.store.partitions import PartitionRows, find_partitions, partition_of, read_partition, write_partition
from pipelines.store.store import Store

MIN_ALIKE = 3  # failed rows
_SERVER_REASONS = ("http_4", "no_logprobs", "not_a_completion")


def reopen(store: Store, kind: str, key: str) -> None:
    """Make a finished row-wise step unfinished. All its rows but the failed ones become outputs of its partitions.

    Peak memory is the step's rows. Killed in between, it leaves the step finished.
    """
    rows: dict[int, list[Row]] = defaultdict(list)
    rejections: dict[int, list[Rejection]] = defaultdict(list)
    for table in store.tables(kind, key):
        for row in from_table(ROW_TYPES[kind], table):
            rows[partition_of(row.index)].append(row)
    for table in store.tables(kind, key, "rejected"):
        for rejection in from_table(Rejection, table):
            rejections[partition_of(rejection.index)].append(rejection)
    store.remove(store.partition_files(kind, key, "*"))
    for partition in sorted(rows.keys() | rejections.keys()):
        _write_kept(store, kind, key, partition, PartitionRows(rows[partition], rejections[partition]))
    store.invalidate(kind, key)


def forget_failed_rows(store: Store, kind: str, key: str) -> None:
    """Write the partitions of an unfinished step again without their failed rows, and delete its journals."""
    store.remove(store.partition_files(kind, key, f"*{JOURNAL_SUFFIX}"))
    for partition, output in find_partitions(store, kind, key).items():
        found = read_partition(store, kind, output)
        if any(row.status == "failed" for row in found.rejections):
            store.remove(path for path in (output.rows, output.rejected) if path)
            _write_kept(store, kind, key, partition, found)


def common_failure(account: Account) -> str | None:
    """Return the reason for which most rows of a step failed, if it is one that a server gives; else None."""
    for reason, count in account.reasons.items():
        if reason.startswith(_SERVER_REASONS) and count >= MIN_ALIKE and 2 * count > account.rows_in:
            return reason
    return None


def first_detail(store: Store, kind: str, key: str, reason: str) -> str:
    """Return what the first row of an unfinished step that failed for a reason says about it."""
    for output in find_partitions(store, kind, key).values():
        for row in read_partition(store, kind, output).rejections:
            if row.status == "failed" and row.reason == reason:
                return row.detail
    return ""


def _write_kept(store: Store, kind: str, key: str, partition: int, found: PartitionRows) -> None:
    kept = [row for row in found.rejections if row.status != "failed"]
    write_partition(store, kind, key, partition, PartitionRows(found.rows, kept))
