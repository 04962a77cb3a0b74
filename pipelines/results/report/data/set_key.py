"""Keys of data sets in the report's facts."""

from __future__ import annotations

from typing import Any, NamedTuple

from pipelines.study.graph.steps.grid import Cell, InstructionDataset


def answered_by(decoding: str, seed: int | None) -> str:
    """Return the text that tells apart answers of one teacher: the decoding's variant, with the seed if any."""
    return decoding if seed is None else f"{decoding}, seed {seed}"


IN_TABLES_ONLY = {"in tables only": True}
"""Marks the fields of facts that no file has: what tables say of several seeds, of which files have each."""


class InstructionKey(NamedTuple):
    """A set of instructions. `evolver` starts with the evolution's name if the study has several; empty for seeds."""

    seeds: str
    evolver: str
    round: int

    @property
    def label(self) -> str:
        """The name of the set: `SEEDS EVOLVER rROUND`."""
        return " ".join(filter(None, (self.seeds, self.evolver, f"r{self.round}")))


class SetKey(NamedTuple):
    """A set of instructions with a teacher's answers. `answer_seed` is None if the decoding has only one seed."""

    seeds: str
    evolver: str
    round: int
    teacher: str
    decoding: str
    answer_seed: int | None = None

    @property
    def instructions(self) -> InstructionKey:
        """The key of the instructions alone."""
        return InstructionKey(self.seeds, self.evolver, self.round)

    @property
    def shown(self) -> tuple[str, str, int, str, str]:
        """The texts for a table's columns seeds, evolver, round, teacher and decoding (with the seed, if any)."""
        return self.seeds, self.evolver, self.round, self.teacher, answered_by(self.decoding, self.answer_seed)

    @property
    def label(self) -> str:
        """The name of the set: `SEEDS → TEACHER` or `EVOLVER rROUND → TEACHER`, with the answers' seed if any."""
        source = f"{self.evolver} r{self.round}" if self.evolver else self.seeds
        return f"{source} → {self.teacher}" + ("" if self.answer_seed is None else f" seed {self.answer_seed}")


def set_key(pairs: InstructionDataset) -> SetKey:
    """Return the key of a data set of the grid."""
    return SetKey(pairs.seeds, pairs.evolved_by, pairs.round, pairs.teacher, pairs.decoding, pairs.answer_seed)


def cell_coordinates(cell: Cell) -> dict[str, Any]:
    """Return the coordinates of a student's results by name. An untuned base model has round -1 and no data set."""
    key = set_key(cell.pairs) if cell.pairs else SetKey("", "", -1, "", "")
    student = {"student": cell.student.model, "recipe": cell.student.recipe}
    return student | key._asdict() | {"selection": cell.selection, "seed": cell.seed}
