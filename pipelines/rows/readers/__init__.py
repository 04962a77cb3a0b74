"""Reads seed rows from files, strictly: every row is kept as written, quarantined with a reason, or an error."""

from pipelines.rows.readers.hub.fetch import cached_source, fetch_source
from pipelines.rows.readers.rules import (
    ColumnField,
    HubSet,
    Licence,
    ReadingRules,
    SeedSource,
    SystemPolicy,
    TurnsPolicy,
    UnusedPolicy,
)
from pipelines.rows.readers.seed_rows import BadRow, Note, OnBadRow, SeedRow, SeedRows, describe_note
from pipelines.rows.readers.sets.locate import find_files, hash_files, matching
from pipelines.rows.readers.sets.seed_set import (
    bad_rows_error,
    count_notes,
    count_rows,
    iter_seeds,
    no_rows_error,
    read_seeds,
)

__all__ = [
    "BadRow",
    "ColumnField",
    "HubSet",
    "Licence",
    "Note",
    "OnBadRow",
    "ReadingRules",
    "SeedRow",
    "SeedRows",
    "SeedSource",
    "SystemPolicy",
    "TurnsPolicy",
    "UnusedPolicy",
    "bad_rows_error",
    "cached_source",
    "count_notes",
    "count_rows",
    "describe_note",
    "fetch_source",
    "find_files",
    "hash_files",
    "iter_seeds",
    "matching",
    "no_rows_error",
    "read_seeds",
]
