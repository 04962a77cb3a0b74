"""What the steps of each kind are to do, as plain records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from actors.sandbox.protocol.job import Level
from pipelines.rows.types import Kind
from pipelines.study.graph.fingerprint import fingerprint
from pipelines.study.graph.methods import method_for, random_method
from pipelines.study.graph.step import ModelFreeParams, StepParams
from pipelines.study.spec.autoif import RuleSet
from pipelines.study.spec.basics import SamplingSpec
from pipelines.study.spec.benchmarks import Benchmark
from pipelines.study.spec.evolution import Assignment, Elimination, LengthBound, Optimization
from pipelines.study.spec.judging import JudgeMetric
from pipelines.study.spec.recipes import Recipe, TrainingResources
from pipelines.study.spec.responses import SelectionRule
from pipelines.study.spec.scoring import Contamination, Diversity, ScoringOptions
from pipelines.study.spec.selection import Selection
from pipelines.study.spec.study import Seeds


@dataclass(frozen=True, slots=True)
class SeedsParams(ModelFreeParams):
    """Read a seed file, or make seeds of the world."""

    kind = "seeds"
    code_version = 2

    seeds: Seeds


@dataclass(frozen=True, slots=True)
class OptimizeParams(StepParams):
    """Find the best method for the evolver `model`. `max_tokens` bounds each of its replies."""

    kind = "optimize"
    code_version = 1
    role = "evolver"

    optimization: Optimization
    input: Literal["copy", "merge"]
    max_tokens: int
    seed: int


@dataclass(frozen=True, slots=True)
class AugmentParams(StepParams):
    """AutoIF: new instructions on the format of answers beside the given ones."""

    kind = "augment"
    code_version = 1
    role = "evolver"

    instructions: tuple[str, ...]
    runs: int
    sampling: SamplingSpec
    seed: int


@dataclass(frozen=True, slots=True)
class VerifyParams(StepParams):
    """AutoIF: functions that check whether an answer follows an instruction, cross-validated and back-translated.

    `nli` is the classifier model that compares back-translations; None: there are none.
    """

    kind = "verify"
    code_version = 1
    role = "evolver"

    nli: str | None
    rules: RuleSet
    generations: int
    sampling: SamplingSpec
    level: Level
    seed: int

    @property
    def sandbox_level(self) -> Level | None:
        """Return the level at which functions run."""
        return self.level


@dataclass(frozen=True, slots=True)
class PairParams(ModelFreeParams):
    """AutoIF: seeds as queries that are to be answered under the verified instructions."""

    kind = "pair"
    code_version = 2

    rules: RuleSet
    queries: int
    seed: int


@dataclass(frozen=True, slots=True)
class EvolveParams(StepParams):
    """Rewrite every instruction once. `round` starts at 1; `methods` is the rotation, or what is drawn from.

    `parser` reads the replies to an optimized method (the method's own prompt names its parser otherwise).
    `eliminates`: a failed evolution keeps the un-evolved instruction, and the others are answered by the evolver.
    `probabilities` of so many first tokens of each reply are kept.
    """

    kind = "evolve"
    code_version = 3
    row_wise = True
    role = "evolver"

    round: int
    methods: tuple[str, ...]
    assignment: Assignment
    input: Literal["copy", "merge"]
    growth: LengthBound | None
    eliminates: bool
    sampling: SamplingSpec
    parser: str = ""
    probabilities: int = 0

    def method(self, index: int, seed_id: str, study_seed: int) -> str:
        """The method of the seed with this id, at this place in its file."""
        if self.assignment == "random":
            return random_method(self.methods, seed_id, self.round, study_seed)
        return method_for(self.methods, index, self.round)


@dataclass(frozen=True, slots=True)
class EliminateParams(StepParams):
    """Undo evolutions that failed: by their answers, and by the judge `model`'s word."""

    kind = "eliminate"
    code_version = 2
    row_wise = True
    role = "judge"

    elimination: Elimination


@dataclass(frozen=True, slots=True)
class RespondParams(StepParams):
    """Answer every instruction `draws` times: as many rows."""

    kind = "respond"
    code_version = 2
    row_wise = True
    role = "teacher"

    sampling: SamplingSpec
    draws: int = 1

    @property
    def rows_per_input(self) -> int:
        """Return the number of answers to each instruction."""
        return self.draws


@dataclass(frozen=True, slots=True)
class SampleCandidatesParams(StepParams):
    """Answer every instruction `candidates` times: one row."""

    kind = "draw"
    code_version = 1
    row_wise = True
    role = "teacher"

    sampling: SamplingSpec
    candidates: int


@dataclass(frozen=True, slots=True)
class BestOfNParams(StepParams):
    """Pick one of the candidates by the rewards that the model gives."""

    kind = "choose"
    code_version = 1
    row_wise = True
    work_type = "score"
    role = "judge"

    rule: SelectionRule


@dataclass(frozen=True, slots=True)
class CheckParams(StepParams):
    """AutoIF: keep the answers that functions accept and the judge `model` scores high enough."""

    kind = "check"
    code_version = 1
    row_wise = True
    role = "judge"

    rules: RuleSet
    judgements: int
    sampling: SamplingSpec
    level: Level
    seed: int

    @property
    def sandbox_level(self) -> Level | None:
        """Return the level at which functions run."""
        return self.level


@dataclass(frozen=True, slots=True)
class ScoreParams(StepParams):
    """Score every pair under one model."""

    kind = "score"
    code_version = 2
    row_wise = True
    work_type = "score"
    role = "scorer"

    options: ScoringOptions = field(default_factory=ScoringOptions)


@dataclass(frozen=True, slots=True)
class RewardParams(StepParams):
    """Judge every pair by one reward model."""

    kind = "reward"
    code_version = 1
    row_wise = True
    work_type = "score"
    role = "judge"


@dataclass(frozen=True, slots=True)
class JudgeParams(StepParams):
    """Ask a judge model about every instruction."""

    kind = "judge"
    code_version = 2
    row_wise = True
    role = "judge"

    metric: JudgeMetric
    max_tokens: int


@dataclass(frozen=True, slots=True)
class DiversityParams(ModelFreeParams):
    """Find how near the instructions of a set are to one another."""

    kind = "diversity"
    code_version = 1

    diversity: Diversity


@dataclass(frozen=True, slots=True)
class ContaminationParams(ModelFreeParams):
    """Find which instructions of a set overlap with benchmark tasks."""

    kind = "contamination"
    code_version = 1

    contamination: Contamination


@dataclass(frozen=True, slots=True)
class SelectParams(ModelFreeParams):
    """Choose pairs for training."""

    kind = "select"
    code_version = 2

    selection: Selection
    seed: int


@dataclass(frozen=True, slots=True)
class TrainParams(StepParams):
    """Fine-tune a student on the selected pairs, at a place that changes nothing."""

    kind = "train"
    code_version = 2
    work_type = "train"

    recipe: Recipe
    seed: int
    resources: TrainingResources = field(default_factory=TrainingResources)

    @property
    def variant(self) -> str:
        """Return a short digest of the recipe."""
        return fingerprint(self.recipe)[:8]


@dataclass(frozen=True, slots=True)
class EvaluateParams(StepParams):
    """Ask a student, or an untuned base if there is no input step, the tasks of a benchmark."""

    kind = "evaluate"
    code_version = 2

    benchmark: Benchmark

    @property
    def variant(self) -> str:
        """Return the benchmark's name."""
        return self.benchmark.name

    @property
    def sandbox_level(self) -> Level | None:
        """Return the level at which programs run that a benchmark asks for."""
        return self.benchmark.level if self.benchmark.traits.runs_code else None


@dataclass(frozen=True, slots=True)
class VerdictParams(StepParams):
    """Have the benchmark's judge `model` read answers; a second input step, if any, has those to compare with."""

    kind = "verdict"
    code_version = 1
    row_wise = True

    benchmark: Benchmark

    @property
    def variant(self) -> str:
        """Return the benchmark's name."""
        return self.benchmark.name


STEP_PARAMS: dict[Kind, type[StepParams]] = {
    each.kind: each
    for each in (
        SeedsParams,
        OptimizeParams,
        AugmentParams,
        VerifyParams,
        PairParams,
        EvolveParams,
        EliminateParams,
        RespondParams,
        SampleCandidatesParams,
        BestOfNParams,
        CheckParams,
        ScoreParams,
        RewardParams,
        JudgeParams,
        DiversityParams,
        ContaminationParams,
        SelectParams,
        TrainParams,
        EvaluateParams,
        VerdictParams,
    )
}
