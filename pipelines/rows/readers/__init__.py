"""Reads seed rows from files, strictly: every row is kept as written, quarantined with a reason, or an error."""

from pipelines.rows.readers.seed_file import check_seed_file, hash_seed_file, read_seeds
from pipelines.rows.readers.seed_rows import BadRow, SeedRow, SeedRows

__all__ = ["BadRow", "SeedRow", "SeedRows", "check_seed_file", "hash_seed_file", "read_seeds"]
