"""Which data set a fact of the report is about."""

from __future__ import annotations

from typing import NamedTuple

from pipelines.study.graph.grid import InstructionDataset


class InstructionKey(NamedTuple):
    """A set of instructions. `evolver` has the evolution's name before it if the study has several; seeds have none."""

    seeds: str
    evolver: str
    round: int

    @property
    def label(self) -> str:
        """The names in one line: `SEEDS EVOLVER rROUND`."""
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
        """The set without its answers."""
        return InstructionKey(self.seeds, self.evolver, self.round)

    @property
    def label(self) -> str:
        """What is answered by whom: `SEEDS → TEACHER` or `EVOLVER rROUND → TEACHER`."""
        source = f"{self.evolver} r{self.round}" if self.evolver else self.seeds
        return f"{source} → {self.teacher}"


def set_key(pairs: InstructionDataset) -> SetKey:
    """Return the key of a data set of the grid."""
    return SetKey(pairs.seeds, pairs.evolved_by, pairs.round, pairs.teacher, pairs.decoding)
