"""Reads seed rows from files, strictly: every row is kept as written, quarantined with a reason, or an error."""

from pipelines.rows.readers.rules import (
    ColumnField,
    ReadingRules,
    SeedSource,
    SystemPolicy,
    TurnsPolicy,
    UnusedPolicy,
)
from pipelines.rows.readers.seed_rows import BadRow, OnBadRow, SeedRow, SeedRows
from pipelines.rows.readers.sets.locate import find_files, hash_files
from pipelines.rows.readers.sets.seed_set import bad_rows_error, count_rows, iter_seeds, no_rows_error, read_seeds

__all__ = [
    "BadRow",
    "ColumnField",
    "OnBadRow",
    "ReadingRules",
    "SeedRow",
    "SeedRows",
    "SeedSource",
    "SystemPolicy",
    "TurnsPolicy",
    "UnusedPolicy",
    "bad_rows_error",
    "count_rows",
    "find_files",
    "hash_files",
    "iter_seeds",
    "no_rows_error",
    "read_seeds",
]
