"""Reads seed rows (round 0) from files, or draws them from the bundled world."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

from bundled.world import seeds as world_seeds
from pipelines.errors import MAX_SHOWN, InputError
from pipelines.execution.runtime.commit import commit_step
from pipelines.execution.steps.instruction_sets import write_results
from pipelines.execution.steps.repeats import RepeatCounter, RepeatFilter
from pipelines.rows.ids import row_id
from pipelines.rows.readers import BadRow, SeedRow, bad_rows_error, iter_seeds, no_rows_error
from pipelines.rows.types import InstructionRow, Rejection
from pipelines.store.manifest import Manifest
from pipelines.store.store import Store
from pipelines.study.graph.params import SeedsParams
from pipelines.study.graph.step import Step
from pipelines.study.inputs.seeds import seed_source
from pipelines.study.spec.basics import World
from pipelines.study.spec.seeds import Seeds
from pipelines.study.spec.study import Study

REPEAT_NOTE = "the same text as an earlier row (reject them with 'deduplicate: exact')"


def run_seeds(study: Study, folder: Path, store: Store, step: Step) -> Manifest:
    """Read or draw the rows of one seeds step, and commit them. `folder` is that of the study's file.

    The rows are written while they are read: memory does not depend on their number.

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
    extra = {"notes": dict(notes)} if notes else None
    return commit_step(store, step, account, shards, time.monotonic() - started, extra)


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
    counter, repeats = RepeatCounter(), RepeatFilter()
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
                if seeds.deduplicate is None:
                    counter.add(row)
                elif repeats.is_repeat(row):
                    yield _rejected_repeat(row, key)
                    continue
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


def _rejected_repeat(row: SeedRow, key: str) -> Rejection:
    new_id = row_id(str(row.index), key)
    return Rejection(new_id, "", new_id, row.index, "rejected", "duplicate", REPEAT_NOTE, row.instruction)


def _rejected_seed(row: BadRow, key: str, several_files: bool) -> Rejection:
    new_id = row_id(str(row.index), key)
    location = [Path(row.file).name] if several_files else []
    location += [f"line {row.line}"] if row.line is not None else []
    detail = ": ".join([*location, *([row.field] if row.field is not None else []), row.detail])
    return Rejection(new_id, "", new_id, row.index, "rejected", row.reason, detail, row.raw)
