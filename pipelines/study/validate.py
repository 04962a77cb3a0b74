"""Finds all mistakes of a study file at once: of its types, of its names and files, and of its seeds' first rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import InputError, InputErrors
from pipelines.rows.readers import count_rows, read_seeds
from pipelines.study.check import check
from pipelines.study.file.load import LoadedStudy, load_with_mistakes
from pipelines.study.file.override import with_seed_file
from pipelines.study.graph.build import build
from pipelines.study.graph.steps.grid import Grid
from pipelines.study.inputs.seeds import local_source
from pipelines.study.locking.lock_file import with_lock
from pipelines.study.spec.instructions.seeds import Seeds

SAMPLE_ROWS = 1000


@dataclass(frozen=True, slots=True)
class ValidStudy:
    """A study without mistakes.

    Attributes:
        loaded: The study and its file.
        grid: Its steps.
        seeds: The number of rows of each seed set by name; None: its files are not in the local cache of the hub.
    """

    loaded: LoadedStudy
    grid: Grid
    seeds: dict[str, int | None]


def validate(path: Path, seeds: Path | None = None) -> ValidStudy:
    """Return a study that has no mistake that can be seen without its models and a cluster.

    `seeds` is a seed file to be read instead of the one that the study names.

    Raises:
        InputError: For one mistake; InputErrors for several, with all that were found, in the order of their lines.
    """
    loaded, mistakes = load_with_mistakes(path)
    if loaded is not None:
        if seeds is not None:
            loaded = with_seed_file(loaded, seeds)
        loaded = with_lock(loaded)
        mistakes += _others(loaded, mistakes)
    if loaded is None or mistakes:
        raise mistakes[0] if len(mistakes) == 1 else InputErrors(mistakes)
    rows, found = _rows_of_seeds(loaded)
    if found:
        raise found[0] if len(found) == 1 else InputErrors(found)
    return ValidStudy(loaded, build(loaded.study, loaded.folder), rows)


def _others(loaded: LoadedStudy, known: list[InputError]) -> list[InputError]:
    """Return the mistakes of names, files and seeds, without those of values that are reported already."""
    found: list[InputError] = []
    try:
        check(loaded)
    except InputError as error:
        found = [*_flat(error)]
    if not any("seeds" in (mistake.field or "") for mistake in (*known, *found)):
        found += _rows_of_seeds(loaded)[1]
    wrong = {(mistake.line, mistake.field) for mistake in known}
    return [mistake for mistake in found if (mistake.line, mistake.field) not in wrong]


def _rows_of_seeds(loaded: LoadedStudy) -> tuple[dict[str, int | None], list[InputError]]:
    """Return the number of rows of each seed set, and the mistakes of their first rows."""
    rows: dict[str, int | None] = {}
    mistakes: list[InputError] = []
    for seeds in loaded.study.seeds:
        try:
            rows[seeds.name] = _count(seeds, loaded.folder)
        except InputError as error:
            mistakes += _flat(error)
    return rows, mistakes


def _count(seeds: Seeds, folder: Path) -> int | None:
    if seeds.world:
        return min(seeds.world.count, seeds.limit or seeds.world.count)
    source = local_source(seeds, folder)
    if source is None:
        return None
    read_seeds(source, limit=min(SAMPLE_ROWS, seeds.limit or SAMPLE_ROWS), on_bad_row=seeds.on_bad_row)
    return count_rows(source, seeds.limit)


def _flat(error: InputError) -> Iterator[InputError]:
    yield from error.problems if isinstance(error, InputErrors) else (error,)
