"""Seeds as rows of round 0, read from a file or drawn from the world."""

from __future__ import annotations

from pathlib import Path

from bundled.world import seeds as world_seeds
from pipelines.rows.ids import row_id
from pipelines.rows.readers import BadRow, SeedRow, read_seeds
from pipelines.rows.types import InstructionRow, Rejection
from pipelines.study.spec.basics import World
from pipelines.study.spec.study import Seeds


def make(seeds: Seeds, folder: Path, seed: int, key: str) -> tuple[list[InstructionRow], list[Rejection]]:
    """The rows of one seed set and, if the study quarantines bad rows, those. Raises InputError for a bad file."""
    if seeds.world:
        return _from_world(seeds.world, seeds.limit, seed, key), []
    read = read_seeds(folder / str(seeds.file), limit=seeds.limit, on_bad_row=seeds.on_bad_row)
    return [_from_file(row, key) for row in read.rows], [_quarantined(row, key) for row in read.bad]


def _from_world(world: World, limit: int | None, seed: int, key: str) -> list[InstructionRow]:
    tasks = world_seeds(world.count, seed, tuple(world.levels))[:limit]
    rows = (SeedRow(index, task.instruction, "", task.answer) for index, task in enumerate(tasks))
    return [_from_file(row, key) for row in rows]


def _from_file(row: SeedRow, key: str) -> InstructionRow:
    made = row_id(str(row.index), key)
    return InstructionRow(
        id=made,
        parent_id="",
        seed_id=made,
        index=row.index,
        round=0,
        method="seed",
        instruction=row.instruction,
        input=row.input,
        reference=row.output,
        raw="",
        outcome="accepted",
        tokens_in=0,
        tokens_out=0,
    )


def _quarantined(row: BadRow, key: str) -> Rejection:
    made = row_id(str(row.index), key)
    place = [f"line {row.line}"] if row.line is not None else []
    detail = ": ".join([*place, *([row.field] if row.field is not None else []), row.detail])
    return Rejection(made, "", made, row.index, "rejected", row.reason, detail, row.raw)
