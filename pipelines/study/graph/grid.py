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
    measures: tuple[Step, ...] = ()  # of the instructions or of the pairs: at most one of each kind
    rewards: tuple[tuple[str, Step], ...] = ()
    judgements: JudgementSteps = ()

    @property
    def evolved_by(self) -> str:
        """The evolver, for people: after the evolution's name if the study has several."""
        return f"{self.method} {self.evolver}".strip()

    @property
    def scores(self) -> Step | None:
        """The perplexities of the pairs."""
        return self.measure("score")

    @property
    def diversity(self) -> Step | None:
        """The embeddings of the instructions."""
        return self.measure("diversity")

    @property
    def contamination(self) -> Step | None:
        """What the instructions overlap with."""
        return self.measure("contamination")

    def measure(self, kind: str) -> Step | None:
        """Return the measure of a kind; None if the study does not ask for it."""
        return next((step for step in self.measures if step.kind == kind), None)

    def reward(self, model: str | None) -> Step | None:
        """The rewards of a model, or of the study's first one."""
        found = [step for name, step in self.rewards if model in (None, name)]
        return found[0] if found else None

    def required_steps(self, selection: Selection) -> tuple[Step, ...]:
        """What a selection reads: the answers, and the steps that measure them."""
        found = (self.reward(selection.reward) if kind == "reward" else self.measure(kind) for kind in selection.needs)
        return (self.responses, *(step for step in found if step))


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
