"""Reads seed rows (round 0) from a file, or draws them from the bundled world."""

from __future__ import annotations

from pathlib import Path

from bundled.world import seeds as world_seeds
from pipelines.rows.ids import row_id
from pipelines.rows.readers import BadRow, SeedRow, read_seeds
from pipelines.rows.types import InstructionRow, Rejection
from pipelines.study.inputs.seeds import seed_source
from pipelines.study.spec.basics import World
from pipelines.study.spec.seeds import Seeds


def seed_rows(seeds: Seeds, folder: Path, seed: int, key: str) -> tuple[list[InstructionRow], list[Rejection]]:
    """Return the rows of one seed set and, if the study quarantines bad rows, their rejections.

    Raises:
        InputError: If the file is not valid.
    """
    if seeds.world:
        return _world_rows(seeds.world, seeds.limit, seed, key), []
    read = read_seeds(seed_source(seeds, folder), limit=seeds.limit, on_bad_row=seeds.on_bad_row)
    return [_instruction_row(row, key) for row in read.rows], [_rejected_seed(row, key) for row in read.bad]


def _world_rows(world: World, limit: int | None, seed: int, key: str) -> list[InstructionRow]:
    tasks = world_seeds(world.count, seed, tuple(world.levels))[:limit]
    rows = (SeedRow(index, task.instruction, "", task.answer) for index, task in enumerate(tasks))
    return [_instruction_row(row, key) for row in rows]


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


def _rejected_seed(row: BadRow, key: str) -> Rejection:
    new_id = row_id(str(row.index), key)
    location = [f"line {row.line}"] if row.line is not None else []
    detail = ": ".join([*location, *([row.field] if row.field is not None else []), row.detail])
    return Rejection(new_id, "", new_id, row.index, "rejected", row.reason, detail, row.raw)
