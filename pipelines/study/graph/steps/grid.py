"""The grid of a study: its steps by key, its data sets and its cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pipelines.study.graph.steps.step import Step
from pipelines.study.sparse.filter import MatchCounts
from pipelines.study.spec.pairs.scoring import JudgeMetric, ScoringOptions
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


class ScoreStep(NamedTuple):
    """The step that scores a data set's pairs under `model`, for the scorer of this name in the study."""

    scorer: str
    model: str
    step: Step
    options: ScoringOptions

    def has_option(self, name: str) -> bool:
        """Return whether an option of `scoring` is on."""
        return bool(getattr(self.options, name))


@dataclass(frozen=True, slots=True)
class InstructionDataset:
    """One data set: the instructions of a round and a teacher's answers. Round 0 is the seed data, without an evolver.

    `method` is the name of the evolution; it is empty if the study has only one.
    `union` is the name of a set that unites several; `round` is the last of theirs then.
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
    score_steps: tuple[ScoreStep, ...] = ()  # scorer by scorer; a student's own base has one for each model
    union: str = ""

    @property
    def evolved_by(self) -> str:
        """The evolver for display, after the names of a union and, if the study has several, of the evolution."""
        return " ".join(filter(None, (self.union, self.method, self.evolver)))

    @property
    def place_without_seed(self) -> tuple[str | int, ...]:
        """The coordinates that data sets share which differ only in the seeds of their answers."""
        return self.seeds, self.union, self.method, self.evolver, self.round, self.teacher, self.decoding

    @property
    def scores(self) -> Step | None:
        """The step of the study's first scorer; None if the study has none."""
        return self.scored_by()

    def scored_by(self, scorer: str | None = None, base: str | None = None) -> Step | None:
        """Return the step of a scorer (None: of the study's first one); None if the study does not request it.

        Of a scorer with several models, it is the step of the model `base` (None: of the first one).
        """
        wanted = scorer or (self.score_steps[0].scorer if self.score_steps else None)
        found = [each for each in self.score_steps if each.scorer == wanted]
        own = [each for each in found if each.model == base]
        return (own or found)[0].step if found else None

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
        scores = (each.step for each in self.score_steps)
        rewards = (step for _, step in self.rewards)
        return (self.instructions, self.responses, *self.measures, *scores, *rewards, *judged)

    def required_steps(self, selection: Selection, base: str) -> tuple[Step, ...]:
        """Return the steps that a selection for students of a base model reads: the answers, then their measures."""
        found = (self._required_step(kind, selection, base) for kind in selection.needs)
        return (self.responses, *(step for step in found if step))

    def _required_step(self, kind: str, selection: Selection, base: str) -> Step | None:
        if kind == "reward":
            return self.reward(selection.reward)
        if kind == "lengths":  # the rows of a scorer have them, too
            counted = None if selection.scorer else self.measure(kind)
            return counted or self.scored_by(selection.scorer, base)
        return self.scored_by(selection.scorer, base) if kind == "score" else self.measure(kind)


@dataclass(frozen=True, slots=True)
class Cell:
    """One trained student and its evaluations by benchmark. An untuned base model has neither pairs nor training.

    `seed` is that of the training; None if the student has only one. `share` is the share of the selected pairs that
    it is trained on.
    """

    pairs: InstructionDataset | None
    selection: str
    student: Student
    train: Step | None
    evaluations: tuple[tuple[str, Step], ...]
    seed: int | None = None
    share: float = 1.0


class SelectedSet(NamedTuple):
    """A selection from a data set, with the step that makes it.

    `seed` is that of the trainings for which it draws at random, and `base` is the model of the students whose scores
    it reads; None and empty if it is the same for all.
    """

    pairs: InstructionDataset
    selection: str
    step: Step
    seed: int | None
    base: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How many data sets, trainings and evaluations of the whole grid `only` and `except` leave out."""

    sets: int = 0
    cells: int = 0
    evaluations: int = 0


@dataclass(frozen=True, slots=True)
class Grid:
    """All steps by key (each after its inputs), the data sets, and the cells (untuned base models first).

    `partial` are the partial trainings that the study's search may ask for. They are no results of the study.
    `selected` has the selections from the data sets: for students, or alone in a study without students.
    `matches` has what each pattern of the study's `only` and `except` matches, by these names.
    """

    steps: Mapping[str, Step]
    sets: tuple[InstructionDataset, ...]
    cells: tuple[Cell, ...]
    selected: tuple[SelectedSet, ...] = ()
    left_out: LeftOut = LeftOut()
    partial: tuple[Cell, ...] = ()
    matches: Mapping[str, Sequence[MatchCounts]] = field(default_factory=dict[str, Sequence[MatchCounts]])
