"""The parameters of each kind of step, as plain records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from actors.sandbox.protocol.job import Level
from pipelines.rows.kinds import Kind
from pipelines.study.graph.fingerprint import fingerprint
from pipelines.study.graph.methods import method_for, random_method
from pipelines.study.graph.step import ModelFreeParams, StepParams
from pipelines.study.spec.autoif import RuleSet
from pipelines.study.spec.basics import SamplingSpec
from pipelines.study.spec.benchmarks import Benchmark
from pipelines.study.spec.evolution import Assignment, Elimination, LengthBound, OnFailure, Optimization, Turn
from pipelines.study.spec.recipes import Recipe, TrainingResources
from pipelines.study.spec.responses import Given, SelectionRule
from pipelines.study.spec.scoring import Contamination, Diversity, JudgeMetric, ScoringOptions
from pipelines.study.spec.seeds import Seeds
from pipelines.study.spec.selection import Selection


@dataclass(frozen=True, slots=True)
class SeedsParams(ModelFreeParams):
    """Read a seed file, or generate seeds of the bundled world."""

    kind = "seeds"
    code_version = 3

    seeds: Seeds


@dataclass(frozen=True, slots=True)
class GivenParams(ModelFreeParams):
    """Read existing answers to the rows of a seed set."""

    kind = "given"
    code_version = 1

    given: Given
    seeds: Seeds


@dataclass(frozen=True, slots=True)
class OptimizeParams(StepParams):
    """Optimize a method for the evolver `model`. `max_tokens` limits each of the evolver's replies."""

    kind = "optimize"
    code_version = 1
    role = "evolver"

    optimization: Optimization
    input: Literal["copy", "merge"]
    max_tokens: int
    seed: int
    turn: Turn = "last"
    system: str = ""


@dataclass(frozen=True, slots=True)
class AugmentParams(StepParams):
    """AutoIF: generate more format instructions from the given ones."""

    kind = "augment"
    code_version = 1
    role = "evolver"

    instructions: tuple[str, ...]
    runs: int
    sampling: SamplingSpec
    seed: int
    system: str = ""


@dataclass(frozen=True, slots=True)
class VerifyParams(StepParams):
    """AutoIF: generate functions that check whether an answer follows an instruction, and verify these functions.

    They are cross-validated and back-translated. `nli` is the classifier model that compares the back-translations
    with the instruction; None: nothing is back-translated.
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
    system: str = ""

    @property
    def sandbox_level(self) -> Level | None:
        """Return the level at which functions run."""
        return self.level


@dataclass(frozen=True, slots=True)
class PairParams(ModelFreeParams):
    """AutoIF: pair the verified instructions with seeds, which are the queries to answer."""

    kind = "pair"
    code_version = 3

    rules: RuleSet
    queries: int
    seed: int


@dataclass(frozen=True, slots=True)
class EvolveParams(StepParams):
    """Rewrite every instruction once.

    `round` starts at 1. `methods` is the rotation, or the set to draw from. `parser` is for the replies to an optimized
    method; otherwise, the method's prompt names its parser. With `eliminates`, a failed evolution keeps the instruction
    from before, and the evolver answers the other ones. `probabilities` is the number of first tokens of each reply
    whose probabilities are stored. `retries` is how often the evolver is asked again after a failure.
    """

    kind = "evolve"
    code_version = 5
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
    turn: Turn = "last"
    on_failure: OnFailure = "drop"
    retries: int = 0
    system: str = ""

    def method(self, index: int, seed_id: str, study_seed: int) -> str:
        """Return the method for the seed with this id, at this 0-based position in its file."""
        if self.assignment == "random":
            return random_method(self.methods, seed_id, self.round, study_seed)
        return method_for(self.methods, index, self.round)


@dataclass(frozen=True, slots=True)
class EliminateParams(StepParams):
    """Revert failed evolutions, as detected from their answers and by the judge `model`."""

    kind = "eliminate"
    code_version = 3
    row_wise = True
    role = "judge"

    elimination: Elimination


@dataclass(frozen=True, slots=True)
class RespondParams(StepParams):
    """Answer every instruction `draws` times, with one row for each answer."""

    kind = "respond"
    code_version = 3
    row_wise = True
    role = "teacher"

    sampling: SamplingSpec
    draws: int = 1
    system: str = ""

    @property
    def rows_per_input(self) -> int:
        """Return the number of answers to each instruction."""
        return self.draws


@dataclass(frozen=True, slots=True)
class SampleCandidatesParams(StepParams):
    """Answer every instruction `candidates` times, with one row for all answers."""

    kind = "draw"
    code_version = 2
    row_wise = True
    role = "teacher"

    sampling: SamplingSpec
    candidates: int
    system: str = ""


@dataclass(frozen=True, slots=True)
class BestOfNParams(StepParams):
    """Pick one of the candidates by the reward model's rewards."""

    kind = "choose"
    code_version = 2
    row_wise = True
    work_type = "score"
    role = "judge"

    rule: SelectionRule


@dataclass(frozen=True, slots=True)
class CheckParams(StepParams):
    """AutoIF: keep the answers that functions accept and the judge `model` scores high enough."""

    kind = "check"
    code_version = 2
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
    """Score every pair with one model."""

    kind = "score"
    code_version = 3
    row_wise = True
    work_type = "score"
    role = "scorer"

    options: ScoringOptions = field(default_factory=ScoringOptions)


@dataclass(frozen=True, slots=True)
class RewardParams(StepParams):
    """Compute the reward of every pair with one reward model."""

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
    system: str = ""


@dataclass(frozen=True, slots=True)
class DiversityParams(ModelFreeParams):
    """Embed the instructions of a set and find each one's nearest neighbour."""

    kind = "diversity"
    code_version = 1

    diversity: Diversity


@dataclass(frozen=True, slots=True)
class ContaminationParams(ModelFreeParams):
    """Find which instructions of a set overlap with benchmark tasks."""

    kind = "contamination"
    code_version = 2

    contamination: Contamination


@dataclass(frozen=True, slots=True)
class SelectParams(ModelFreeParams):
    """Select pairs for training. `truncated` says whether a pair with a truncated answer can be selected."""

    kind = "select"
    code_version = 4

    selection: Selection
    seed: int
    truncated: Literal["drop", "keep"] = "drop"


@dataclass(frozen=True, slots=True)
class TrainParams(StepParams):
    """Fine-tune a student on the selected pairs, with `thoughts` also on the teacher's thoughts.

    `resources` do not change the result.
    """

    kind = "train"
    code_version = 3
    work_type = "train"

    recipe: Recipe
    seed: int
    resources: TrainingResources = field(default_factory=TrainingResources)
    thoughts: bool = False

    @property
    def variant(self) -> str:
        """Return a short digest of the recipe."""
        return fingerprint(self.recipe)[:8]


@dataclass(frozen=True, slots=True)
class EvaluateParams(StepParams):
    """Have a student answer a benchmark's tasks; without an input step, the untuned base model."""

    kind = "evaluate"
    code_version = 2

    benchmark: Benchmark

    @property
    def variant(self) -> str:
        """Return the benchmark's name."""
        return self.benchmark.name

    @property
    def sandbox_level(self) -> Level | None:
        """Return the sandbox level for the programs in answers; None if the benchmark runs no code."""
        return self.benchmark.level if self.benchmark.traits.runs_code else None


@dataclass(frozen=True, slots=True)
class VerdictParams(StepParams):
    """Have the benchmark's judge `model` assess answers; a second input step has the reference answers, if any."""

    kind = "verdict"
    code_version = 2
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
        GivenParams,
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
