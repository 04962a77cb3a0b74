"""What the steps of each kind are to do, as plain records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from actors.sandbox.protocol.job import Level
from pipelines.study.graph.methods import method_for, random_method
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
class SeedsParams:
    """Read a seed file, or make seeds of the world."""

    seeds: Seeds


@dataclass(frozen=True, slots=True)
class OptimizeParams:
    """Find the best method for the evolver `model`. `max_tokens` bounds each of its replies."""

    model: str
    optimization: Optimization
    input: Literal["copy", "merge"]
    max_tokens: int
    seed: int


@dataclass(frozen=True, slots=True)
class AugmentParams:
    """AutoIF: new instructions on the format of answers beside the given ones."""

    model: str
    instructions: tuple[str, ...]
    runs: int
    sampling: SamplingSpec
    seed: int


@dataclass(frozen=True, slots=True)
class VerifyParams:
    """AutoIF: functions that check whether an answer follows an instruction, cross-validated and back-translated.

    `nli` is the classifier model that compares back-translations; None: there are none.
    """

    model: str
    nli: str | None
    rules: RuleSet
    generations: int
    sampling: SamplingSpec
    level: Level
    seed: int


@dataclass(frozen=True, slots=True)
class PairParams:
    """AutoIF: seeds as queries that are to be answered under the verified instructions."""

    rules: RuleSet
    queries: int
    seed: int


@dataclass(frozen=True, slots=True)
class EvolveParams:
    """Rewrite every instruction once. `round` starts at 1; `methods` is the rotation, or what is drawn from.

    `parser` reads the replies to an optimized method (the method's own prompt names its parser otherwise).
    `eliminates`: a failed evolution keeps the un-evolved instruction, and the others are answered by the evolver.
    `probabilities` of so many first tokens of each reply are kept.
    """

    model: str
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
class EliminateParams:
    """Undo evolutions that failed: by their answers, and by the judge `model`'s word."""

    model: str
    elimination: Elimination


@dataclass(frozen=True, slots=True)
class RespondParams:
    """Answer every instruction `draws` times: as many rows."""

    model: str
    sampling: SamplingSpec
    draws: int = 1


@dataclass(frozen=True, slots=True)
class SampleCandidatesParams:
    """Answer every instruction `candidates` times: one row."""

    model: str
    sampling: SamplingSpec
    candidates: int


@dataclass(frozen=True, slots=True)
class BestOfNParams:
    """Pick one of the candidates by the rewards that the model gives."""

    model: str
    rule: SelectionRule


@dataclass(frozen=True, slots=True)
class CheckParams:
    """AutoIF: keep the answers that functions accept and the judge `model` scores high enough."""

    model: str
    rules: RuleSet
    judgements: int
    sampling: SamplingSpec
    level: Level
    seed: int


@dataclass(frozen=True, slots=True)
class ScoreParams:
    """Score every pair under one model."""

    model: str
    options: ScoringOptions = field(default_factory=ScoringOptions)


@dataclass(frozen=True, slots=True)
class RewardParams:
    """Judge every pair by one reward model."""

    model: str


@dataclass(frozen=True, slots=True)
class JudgeParams:
    """Ask a judge model about every instruction."""

    model: str
    metric: JudgeMetric
    max_tokens: int


@dataclass(frozen=True, slots=True)
class DiversityParams:
    """Find how near the instructions of a set are to one another."""

    diversity: Diversity


@dataclass(frozen=True, slots=True)
class ContaminationParams:
    """Find which instructions of a set overlap with benchmark tasks."""

    contamination: Contamination


@dataclass(frozen=True, slots=True)
class SelectParams:
    """Choose pairs for training."""

    selection: Selection
    seed: int


@dataclass(frozen=True, slots=True)
class TrainParams:
    """Fine-tune a student on the selected pairs, at a place that changes nothing."""

    model: str
    recipe: Recipe
    seed: int
    resources: TrainingResources = field(default_factory=TrainingResources)


@dataclass(frozen=True, slots=True)
class EvaluateParams:
    """Ask a student, or an untuned base if there is no input step, the tasks of a benchmark."""

    model: str
    benchmark: Benchmark


@dataclass(frozen=True, slots=True)
class VerdictParams:
    """Have the benchmark's judge `model` read answers; a second input step, if any, has those to compare with."""

    model: str
    benchmark: Benchmark


AnyStepParams = (
    SeedsParams
    | OptimizeParams
    | AugmentParams
    | VerifyParams
    | PairParams
    | EvolveParams
    | EliminateParams
    | RespondParams
    | SampleCandidatesParams
    | BestOfNParams
    | CheckParams
    | ScoreParams
    | RewardParams
    | JudgeParams
    | DiversityParams
    | ContaminationParams
    | SelectParams
    | TrainParams
    | EvaluateParams
    | VerdictParams
)
