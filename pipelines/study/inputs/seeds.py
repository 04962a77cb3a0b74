"""Finds the files of a seed set, with the rules for reading them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipelines.rows.readers import ReadingRules, SeedSource, find_files
from pipelines.study.spec.responses import Given
from pipelines.study.spec.seeds import Seeds

OWN_ANSWERS = "output"


def given_source(given: Given, seeds: Seeds, folder: Path) -> SeedSource | None:
    """Return the files with given answers; None if they are the seeds' own, which the rows of the seeds step have.

    Raises:
        InputError: If a file does not exist, or is of no known format.
    """
    if given.column == OWN_ANSWERS:
        return None
    if given.file is None:
        source = seed_source(seeds, folder)
        columns = dict(source.rules.columns) | {"output": given.column}
        return replace(source, rules=replace(source.rules, columns=tuple(columns.items())))
    rules = ReadingRules(seeds.system, seeds.turns, tuple(given.columns.items()), seeds.on_unused)
    return SeedSource(find_files([folder / name for name in given.file]), rules)


def seed_source(seeds: Seeds, folder: Path) -> SeedSource:
    """Return the files of a seed set in their order. `folder` is the study file's folder.

    Raises:
        InputError: If a file does not exist, or is of no known format.
    """
    rules = ReadingRules(seeds.system, seeds.turns, tuple(sorted(seeds.columns.items())), seeds.on_unused)
    return SeedSource(find_files([folder / name for name in seeds.file or []], seeds.split), rules)
