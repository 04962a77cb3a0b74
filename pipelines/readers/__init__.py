"""Seed rows from files, strictly: every row is kept as it was written, quarantined with a reason, or refused."""

from pipelines.readers.rows import BadRow, SeedRow, SeedRows
from pipelines.readers.seeds import check_seed_file, hash_seed_file, read_seeds

__all__ = ["BadRow", "SeedRow", "SeedRows", "check_seed_file", "hash_seed_file", "read_seeds"]
