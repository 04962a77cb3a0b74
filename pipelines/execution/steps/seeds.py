"""Reads seed rows (round 0) from files, here or on the hub, or draws them from the bundled world."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from bundled.world import seeds as world_seeds
from pipelines.errors import MAX_SHOWN, InputError
from pipelines.execution.runtime.commit import commit_step
from pipelines.execution.steps.instruction_sets import write_results
from pipelines.execution.steps.near_repeats import NearRepeatFilter
from pipelines.execution.steps.repeats import RepeatCounter, RepeatFilter
from pipelines.rows.ids import row_id
from pipelines.rows.readers import BadRow, SeedRow, bad_rows_error, iter_seeds, no_rows_error
from pipelines.rows.types import InstructionRow, Rejection
from pipelines.store.manifest import Manifest
from pipelines.store.store import Store
from pipelines.study.graph.steps.params.instructions import SeedsParams
from pipelines.study.graph.steps.step import Step
from pipelines.study.inputs.seeds import local_source, seed_source
from pipelines.study.spec.common.basics import World
from pipelines.study.spec.instructions.seeds import Seeds
from pipelines.study.spec.study import Study

REPEAT_NOTE = "the same text as an earlier row (reject them with 'deduplicate: exact')"


def run_seeds(study: Study, folder: Path, store: Store, step: Step) -> Manifest:
    """Read or draw the rows of one seeds step, and commit them. `folder` is that of the study's file.

    The rows are written while they are read: memory does not depend on their number. The manifest keeps the licence
    and the languages that the card of a data set on the hub states.

    Raises:
        InputError: If the file is not valid. Nothing is left in the store then.
    """
    job = step.params
    assert isinstance(job, SeedsParams)
    started = time.monotonic()
    notes: Counter[str] = Counter()
    try:
        shards, account = write_results(store, step, seed_rows(job.seeds, folder, study.seed, step.key, notes))
    except InputError:
        store.remove([store.folder(step.kind, step.key)])
        raise
    extra = ({"notes": dict(notes)} if notes else {}) | _card_facts(job.seeds, folder)
    return commit_step(store, step, account, shards, time.monotonic() - started, extra)


def _card_facts(seeds: Seeds, folder: Path) -> dict[str, Any]:
    source = local_source(seeds, folder) if seeds.hub else None
    licence = {"licence": asdict(source.licence)} if source and source.licence else {}
    return licence | ({"languages": list(source.languages)} if source and source.languages else {})


def seed_rows(
    seeds: Seeds, folder: Path, seed: int, key: str, notes: Counter[str]
) -> Iterator[InstructionRow | Rejection]:
    """Yield the rows of one seed set in their order and, if the study quarantines bad rows, their rejections.

    `notes` counts the rows by what was left out of them or changed.

    Raises:
        InputError: If a file is not valid, or no row is good.
    """
    if seeds.world:
        yield from (_instruction_row(row, key) for row in _world_rows(seeds.world, seeds.limit, seed))
        return
    source = seed_source(seeds, folder)
    bad: list[BadRow] = []  # the first ones
    good = 0
    counter = RepeatCounter()
    find_repeat = _repeat_finder(seeds, key, counter)
    with closing(iter_seeds(source)) as found:
        for row in islice(found, seeds.limit):
            if isinstance(row, BadRow):
                bad += [row] if len(bad) <= MAX_SHOWN else []
                if seeds.on_bad_row == "quarantine":
                    yield _rejected_seed(row, key, len(source.files) > 1)
                elif len(bad) > MAX_SHOWN:
                    break
            elif not bad or seeds.on_bad_row == "quarantine":
                good += 1
                notes.update(note.text for note in row.notes)
                if rejection := find_repeat(row):
                    yield rejection
                else:
                    yield _instruction_row(row, key)
    if bad and (seeds.on_bad_row == "refuse" or not good):
        raise bad_rows_error(bad)
    if not good:
        raise no_rows_error(source)
    if repeated := counter.count:
        notes[REPEAT_NOTE] = repeated


def _world_rows(world: World, limit: int | None, seed: int) -> Iterator[SeedRow]:
    tasks = world_seeds(world.count, seed, tuple(world.levels))[:limit]
    return (SeedRow(index, task.instruction, "", task.answer) for index, task in enumerate(tasks))


def _instruction_row(row: SeedRow, key: str) -> InstructionRow:
    new_id = row_id(str(row.index), key)
    return InstructionRow(
        id=new_id,
        parent_id="",
        seed_id=new_id,
        index=row.index,
        round=0,
        method="seed",
        instruction=row.instruction,
        input=row.input,
        reference=row.output,
        system=row.system,
        history=[*row.history],
        raw="",
        outcome="accepted",
        tokens_in=0,
        tokens_out=0,
    )


def _repeat_finder(seeds: Seeds, key: str, counter: RepeatCounter) -> Callable[[SeedRow], Rejection | None]:
    """Return the function that rejects a row as a repeat. If the study keeps repeats, they are counted."""
    if seeds.deduplicate is None:
        return counter.add
    if seeds.deduplicate == "exact":
        repeats = RepeatFilter()
        return lambda row: _rejected_repeat(row, key, "duplicate", REPEAT_NOTE) if repeats.is_repeat(row) else None
    near_repeats = NearRepeatFilter()

    def find_near(row: SeedRow) -> Rejection | None:
        if (found := near_repeats.find(row)) is None:
            return None
        earlier = f"row {found.row} (from 0; id {row_id(str(found.row), key)})"
        detail = f"about {found.similarity:.0%} of its 5-word sequences are those of {earlier}"
        return _rejected_repeat(row, key, "near_duplicate", detail)

    return find_near


def _rejected_repeat(row: SeedRow, key: str, reason: str, detail: str) -> Rejection:
    new_id = row_id(str(row.index), key)
    return Rejection(new_id, "", new_id, row.index, "rejected", reason, detail, row.instruction)


def _rejected_seed(row: BadRow, key: str, several_files: bool) -> Rejection:
    new_id = row_id(str(row.index), key)
    location = [Path(row.file).name] if several_files else []
    location += [f"line {row.line}"] if row.line is not None else []
    detail = ": ".join([*location, *([row.field] if row.field is not None else []), row.detail])
    return Rejection(new_id, "", new_id, row.index, "rejected", row.reason, detail, row.raw)
