"""Counts the rows of seed sets, and estimates the lengths of their texts, for plans."""

from __future__ import annotations

import contextlib
import json
import posixpath
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from pathlib import Path

from bundled.world import datasets as world
from pipelines.errors import InputError
from pipelines.planning.workload import ASSUMED_SEEDS, TOKENS_PER_TEXT, InputSize
from pipelines.rows.readers import SeedRow, count_notes, count_rows, describe_note, iter_seeds, read_seeds
from pipelines.store.errors import CorruptStore
from pipelines.store.store import Store
from pipelines.study.graph.steps.fingerprint import fingerprint
from pipelines.study.graph.steps.params.instructions import SeedsParams
from pipelines.study.graph.steps.step import Step
from pipelines.study.inputs.seeds import local_source
from pipelines.study.spec.instructions.seeds import Seeds

BYTES_PER_TOKEN = 4.0  # of UTF-8, as tokenizers of current models encode English text
SAMPLE_ROWS = 1000
WORLD_SAMPLE = 100  # tasks of the closed world, which differ little in length
_UNKNOWN = "its files are not in the local cache of the hub, and are fetched when the step runs"


def measure_seed_sets(
    steps: Mapping[str, Step], done: Collection[str], folder: Path, store: Store
) -> dict[str, InputSize]:
    """Return the sizes of a study's seed sets, by the keys of their steps.

    The rows of a finished step are those in the store. Otherwise, the rows of its file are counted, and the number is
    kept in the store by the file's hash. Of a data set on the hub that is not in the local cache, it is assumed.

    Args:
        steps: The steps of the study by key.
        done: The keys of the finished ones.
        folder: The folder of the study's file.
        store: The store of the steps' outputs.

    Raises:
        InputError: If a file cannot be read to its end.
    """
    sizes: dict[str, InputSize] = {}
    for key, step in steps.items():
        if isinstance(step.params, SeedsParams):
            seeds = step.params.seeds
            rows = store.manifest("seeds", key).account.rows_out if key in done else _count(step, seeds, folder, store)
            sizes[key] = _with_lengths(rows, seeds, folder)
    return sizes


def seed_notes(steps: Mapping[str, Step], done: Collection[str], folder: Path, store: Store) -> list[str]:
    """Return what rows of the seed sets have that is not used, as sentences without full stops.

    Of a set whose step is not finished, the first rows are read. The arguments are those of `measure_seed_sets`.

    Raises:
        InputError: If a run would refuse these rows.
    """
    notes: list[str] = []
    for key, step in steps.items():
        if isinstance(step.params, SeedsParams) and key in done:
            notes += _told(step, "", store.manifest("seeds", key).notes)
        elif isinstance(step.params, SeedsParams) and not step.params.seeds.world:
            seeds = step.params.seeds
            source = local_source(seeds, folder)
            if source is None:
                notes.append(f"{step.label}: {_UNKNOWN}; {_assumed_rows(seeds):,} rows are assumed")
                continue
            limit = min(SAMPLE_ROWS, seeds.limit or SAMPLE_ROWS)
            sample = read_seeds(source, limit=limit, on_bad_row=seeds.on_bad_row)
            among = f"of the first {SAMPLE_ROWS:,} rows, " if len(sample.rows) + len(sample.bad) == SAMPLE_ROWS else ""
            notes += _told(step, among, count_notes(sample.rows))
    return notes


def _told(step: Step, among: str, notes: Mapping[str, int]) -> list[str]:
    return [f"{step.label}: {among}{describe_note(text, count)}" for text, count in notes.items()]


def _count(step: Step, seeds: Seeds, folder: Path, store: Store) -> int:
    if seeds.world:
        return min(seeds.world.count, seeds.limit or seeds.world.count)
    source = local_source(seeds, folder)
    if source is None:
        return _assumed_rows(seeds)
    content = step.payload.get("sha256") or fingerprint(step.payload["hub"])
    name = f"{content}-{seeds.limit or 'all'}.json"
    path = posixpath.join(store.root, "row_counts", name)
    with contextlib.suppress(FileNotFoundError, CorruptStore):
        return store.read_json(path, json.loads, "")["rows"]
    rows = count_rows(source, seeds.limit)
    with contextlib.suppress(OSError):  # a store that cannot be written to: the rows are counted again next time
        store.write_bytes(path, json.dumps({"rows": rows}).encode())
    return rows


def _assumed_rows(seeds: Seeds) -> int:
    return seeds.limit or ASSUMED_SEEDS


def _with_lengths(rows: int, seeds: Seeds, folder: Path) -> InputSize:
    if seeds.world:
        tasks = world.seeds(min(WORLD_SAMPLE, rows), 0, seeds.world.levels)
        return InputSize(
            rows, _mean_tokens([task.instruction for task in tasks]), _mean_tokens([task.answer for task in tasks])
        )
    sample = _sample(seeds, folder)
    return InputSize(
        rows,
        _mean_tokens(["".join((row.system, *row.history, row.instruction, row.input)) for row in sample]),
        _mean_tokens([row.output for row in sample if row.output]),
    )


def _sample(seeds: Seeds, folder: Path) -> list[SeedRow]:
    """Return the good ones among the first rows, up to the first place that cannot be read."""
    sample: list[SeedRow] = []
    source = local_source(seeds, folder)
    if source is None:
        return sample
    with contextlib.suppress(InputError), contextlib.closing(iter_seeds(source)) as found:
        for row in islice(found, min(SAMPLE_ROWS, seeds.limit or SAMPLE_ROWS)):
            if isinstance(row, SeedRow):
                sample.append(row)
    return sample


def _mean_tokens(texts: Sequence[str]) -> float:
    return sum(len(text.encode()) for text in texts) / BYTES_PER_TOKEN / len(texts) if texts else TOKENS_PER_TEXT
