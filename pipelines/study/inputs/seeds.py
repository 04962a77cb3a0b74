"""Finds the files of a seed set, with the rules for reading them."""

from __future__ import annotations

from pathlib import Path

from pipelines.rows.readers import ReadingRules, SeedSource, find_files
from pipelines.study.spec.seeds import Seeds


def seed_source(seeds: Seeds, folder: Path) -> SeedSource:
    """Return the files of a seed set in their order. `folder` is the study file's folder.

    Raises:
        InputError: If a file does not exist, or is of no known format.
    """
    rules = ReadingRules(seeds.system, seeds.turns, tuple(sorted(seeds.columns.items())), seeds.on_unused)
    return SeedSource(find_files([folder / name for name in seeds.file or []], seeds.split), rules)
