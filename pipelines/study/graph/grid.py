"""The grid of a study: its steps by key, its data sets, and its cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pipelines.study.graph.judging import JudgementSteps
from pipelines.study.graph.step import Step
from pipelines.study.spec.recipes import Student
from pipelines.study.spec.selection import Selection


class SetOrigin(NamedTuple):
    """Where the instructions of a data set come from. Round 0 are the seeds: no evolver. `method` is the name of the
    evolution, empty if the study has only one."""

    seeds: str
    method: str
    evolver: str
    round: int


@dataclass(frozen=True, slots=True)
class InstructionDataset:
    """One data set: the instructions of a round and a teacher's answers. Round 0 are the seeds, without evolver.

    `method` is the name of the evolution, empty if the study has only one.

    Where a study eliminates, `instructions` also holds the rows that only go on to the next round: they are not
    answered.
    """

    seeds: str
    method: str
    evolver: str
    round: int
    teacher: str
    decoding: str
    instructions: Step
    responses: Step
    scores: Step | None

    @property
    def evolved_by(self) -> str:
        """The evolver, for people: after the evolution's name if the study has several."""
        return f"{self.method} {self.evolver}".strip()

    diversity: Step | None = None
    contamination: Step | None = None
    rewards: tuple[tuple[str, Step], ...] = ()
    judgements: JudgementSteps = ()

    def reward(self, model: str | None) -> Step | None:
        """The rewards of a model, or of the study's first one."""
        found = [step for name, step in self.rewards if model in (None, name)]
        return found[0] if found else None

    def required_steps(self, selection: Selection) -> tuple[Step, ...]:
        """What a selection reads: the answers, and the steps that measure them."""
        steps_by_kind = {"score": self.scores, "diversity": self.diversity, "reward": self.reward(selection.reward)}
        return (self.responses, *(step for kind in selection.needs if (step := steps_by_kind[kind])))


@dataclass(frozen=True, slots=True)
class Cell:
    """One trained student and its evaluations by benchmark; an untuned base has neither pairs nor training."""

    pairs: InstructionDataset | None
    selection: str
    student: Student
    train: Step | None
    evaluations: tuple[tuple[str, Step], ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """All steps by key, inputs before what needs them; the data sets; the cells, untuned bases first."""

    steps: Mapping[str, Step]
    sets: tuple[InstructionDataset, ...]
    cells: tuple[Cell, ...]
