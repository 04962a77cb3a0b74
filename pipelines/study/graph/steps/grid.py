"""The grid of a study: its steps by key, its data sets and its cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pipelines.study.graph.steps.step import Step
from pipelines.study.sparse.filter import MatchCounts
from pipelines.study.spec.pairs.scoring import JudgeMetric
from pipelines.study.spec.pairs.selection import Selection
from pipelines.study.spec.training.recipes import Student

JudgementSteps = tuple[tuple[JudgeMetric, Step], ...]


class SetOrigin(NamedTuple):
    """The origin of a data set's instructions. Round 0 is the seed data, without an evolver.

    `method` is the name of the evolution; it is empty if the study has only one.
    """

    seeds: str
    method: str
    evolver: str
    round: int


@dataclass(frozen=True, slots=True)
class InstructionDataset:
    """One data set: the instructions of a round and a teacher's answers. Round 0 is the seed data, without an evolver.

    `method` is the name of the evolution; it is empty if the study has only one.
    `answer_seed` is the seed with which the answers were sampled; None if the decoding has only one.
    In a study with elimination, `instructions` also has the reverted rows: they are passed to the next round but not
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
    answer_seed: int | None = None

    @property
    def evolved_by(self) -> str:
        """The evolver for display, after the evolution's name if the study has several."""
        return f"{self.method} {self.evolver}".strip()

    @property
    def place_without_seed(self) -> tuple[str | int, ...]:
        """The coordinates that data sets share which differ only in the seeds of their answers."""
        return self.seeds, self.method, self.evolver, self.round, self.teacher, self.decoding

    @property
    def scores(self) -> Step | None:
        """The step that scores the pairs' perplexities; None if the study does not request it."""
        return self.measure("score")

    @property
    def diversity(self) -> Step | None:
        """The step that embeds the instructions; None if the study does not request it."""
        return self.measure("diversity")

    @property
    def contamination(self) -> Step | None:
        """The step that finds overlaps of the instructions with benchmarks; None if the study does not request it."""
        return self.measure("contamination")

    def measure(self, kind: str) -> Step | None:
        """Return the measuring step of a kind; None if the study does not request it."""
        return next((step for step in self.measures if step.kind == kind), None)

    def reward(self, model: str | None) -> Step | None:
        """Return the reward step of a model (None: of the study's first one); None if there is no such step."""
        found = [step for name, step in self.rewards if model in (None, name)]
        return found[0] if found else None

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of the data set itself: instructions, answers, and all that measure them."""
        judged = (step for _, step in self.judgements)
        return (self.instructions, self.responses, *self.measures, *(step for _, step in self.rewards), *judged)

    def required_steps(self, selection: Selection) -> tuple[Step, ...]:
        """Return the steps that a selection reads: the answers, then the steps that measure them."""
        found = (self.reward(selection.reward) if kind == "reward" else self.measure(kind) for kind in selection.needs)
        return (self.responses, *(step for step in found if step))


@dataclass(frozen=True, slots=True)
class Cell:
    """One trained student and its evaluations by benchmark. An untuned base model has neither pairs nor training.

    `seed` is that of the training; None if the student has only one.
    """

    pairs: InstructionDataset | None
    selection: str
    student: Student
    train: Step | None
    evaluations: tuple[tuple[str, Step], ...]
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How many data sets, trainings and evaluations of the whole grid `only` and `except` leave out."""

    sets: int = 0
    cells: int = 0
    evaluations: int = 0


@dataclass(frozen=True, slots=True)
class Grid:
    """All steps by key (each after its inputs), the data sets, and the cells (untuned base models first).

    `matches` has what each pattern of the study's `only` and `except` matches, by these names.
    """

    steps: Mapping[str, Step]
    sets: tuple[InstructionDataset, ...]
    cells: tuple[Cell, ...]
    left_out: LeftOut = LeftOut()
    matches: Mapping[str, Sequence[MatchCounts]] = field(default_factory=dict[str, Sequence[MatchCounts]])
