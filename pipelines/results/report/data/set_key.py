"""Keys of data sets in the report's facts."""

from __future__ import annotations

from typing import NamedTuple

from pipelines.study.graph.steps.grid import InstructionDataset


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
    """A set of instructions with a teacher's answers."""

    seeds: str
    evolver: str
    round: int
    teacher: str
    decoding: str

    @property
    def instructions(self) -> InstructionKey:
        """The key of the instructions alone."""
        return InstructionKey(self.seeds, self.evolver, self.round)

    @property
    def label(self) -> str:
        """The name of the set: `SEEDS → TEACHER` or `EVOLVER rROUND → TEACHER`."""
        source = f"{self.evolver} r{self.round}" if self.evolver else self.seeds
        return f"{source} → {self.teacher}"


def set_key(pairs: InstructionDataset) -> SetKey:
    """Return the key of a data set of the grid."""
    return SetKey(pairs.seeds, pairs.evolved_by, pairs.round, pairs.teacher, pairs.decoding)
