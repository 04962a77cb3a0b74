"""Finds the files of a seed set, here or on the hub, with the rules for reading them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipelines.rows.readers import HubSet, ReadingRules, SeedSource, cached_source, fetch_source, find_files
from pipelines.study.inputs.models import COMMIT, HUB_NAME
from pipelines.study.inputs.problem import Problem
from pipelines.study.spec.instructions.seeds import Seeds
from pipelines.study.spec.pairs.responses import Given

OWN_ANSWERS = "output"


def given_source(given: Given, seeds: Seeds, folder: Path) -> SeedSource | None:
    """Return the files with given answers; None if they are the seeds' own, which the rows of the seeds step have.

    Raises:
        InputError: If a file does not exist, or is of no known format.
    """
    if given.column == OWN_ANSWERS:
        return None
    if given.file is None:
        return replace(seed_source(seeds, folder), rules=given_rules(given, seeds))
    return SeedSource(find_files([folder / name for name in given.file]), given_rules(given, seeds))


def given_rules(given: Given, seeds: Seeds) -> ReadingRules:
    """Return how the records of files with given answers become rows."""
    rules = reading_rules(seeds)
    if given.file is None:
        columns = dict(rules.columns) | {"output": given.column}
        return replace(rules, columns=tuple(columns.items()))
    return replace(rules, columns=tuple(given.columns.items()))


def seed_source(seeds: Seeds, folder: Path) -> SeedSource:
    """Return the files of a seed set in their order. Those on the hub are fetched. `folder` is the study file's folder.

    Raises:
        InputError: If a file does not exist, cannot be fetched, or is of no known format.
    """
    if hub := hub_set(seeds):
        return fetch_source(hub, reading_rules(seeds))
    return SeedSource(find_files([folder / name for name in seeds.file or []], seeds.split), reading_rules(seeds))


def local_source(seeds: Seeds, folder: Path) -> SeedSource | None:
    """Return the files of a seed set without using the network; None if files on the hub are not in the local cache.

    `folder` is the study file's folder.

    Raises:
        InputError: If a file does not exist, or is of no known format.
    """
    if hub := hub_set(seeds):
        return cached_source(hub, reading_rules(seeds))
    return seed_source(seeds, folder)


def reading_rules(seeds: Seeds) -> ReadingRules:
    """Return how the records of a seed set's files become rows."""
    return ReadingRules(seeds.system, seeds.turns, tuple(sorted(seeds.columns.items())), seeds.on_unused)


def hub_set(seeds: Seeds) -> HubSet | None:
    """Return the data set on the hub that a seed set is; None if it is another one, or has no revision."""
    if seeds.hub is None or seeds.revision is None:
        return None
    return HubSet(seeds.hub, seeds.revision, seeds.config, seeds.split or "train")


def check_hub(seeds: Seeds) -> Problem | None:
    """Return the problem of the name or revision of seeds on the hub, or None."""
    if seeds.hub is None:
        return None
    if not HUB_NAME.fullmatch(seeds.hub):
        return Problem(("hub",), f"'{seeds.hub}' is not the name of a data set on the hub", "Give it as 'org/name'.")
    if seeds.revision is None:
        remedy = f"Pin it with 'evolgrid lock', or add the 40-digit commit of huggingface.co/datasets/{seeds.hub}."
        return Problem(("hub",), "seeds on the hub need a pinned 'revision' (commit) to be reproducible", remedy)
    if not COMMIT.fullmatch(seeds.revision):
        remedy = "Pin it with 'evolgrid lock', or give the 40 hexadecimal digits of the commit."
        return Problem(("revision",), f"'{seeds.revision}' is not a commit", remedy)
    return None
