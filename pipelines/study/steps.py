"""A step: a unit of cached work. Its key is made of everything that changes its result, and of nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from actors.sandbox.job import Level
from pipelines.evolve.methods import Assignment, drawn_method, method_for
from pipelines.store.fingerprint import fingerprint
from pipelines.study.autoif import RuleSet
from pipelines.study.basics import SamplingSpec
from pipelines.study.benchmarks import Benchmark
from pipelines.study.evolution import Elimination, Growth, Optimization
from pipelines.study.judging import JudgeMetric
from pipelines.study.recipes import Recipe, TrainingPlace
from pipelines.study.responses import Pick
from pipelines.study.spec import Contamination, Diversity, ScoringOptions, Seeds, Selection

Payload = Callable[[], dict[str, Any]]
Kind = Literal[
    "seeds",
    "optimize",
    "augment",
    "verify",
    "pair",
    "evolve",
    "eliminate",
    "respond",
    "draw",
    "choose",
    "check",
    "score",
    "reward",
    "judge",
    "diversity",
    "contamination",
    "select",
    "train",
    "evaluate",
    "verdict",
]

# Raised by hand when the meaning of a kind's output changes: old outputs are then made again.
CODE_VERSION: Mapping[Kind, int] = {
    "seeds": 2,
    "optimize": 1,
    "augment": 1,
    "verify": 1,
    "pair": 2,
    "evolve": 3,
    "eliminate": 2,
    "respond": 2,
    "draw": 1,
    "choose": 1,
    "check": 1,
    "score": 2,
    "diversity": 1,
    "contamination": 1,
    "reward": 1,
    "judge": 2,
    "select": 2,
    "train": 2,
    "evaluate": 2,
    "verdict": 1,
}

ROW_WISE: frozenset[Kind] = frozenset(
    {"evolve", "eliminate", "respond", "draw", "choose", "check", "score", "reward", "judge", "verdict"}
)


@dataclass(frozen=True, slots=True)
class SeedsJob:
    """Read a seed file, or make seeds of the world."""

    seeds: Seeds


@dataclass(frozen=True, slots=True)
class OptimizeJob:
    """Find the best method for the evolver `model`. `max_tokens` bounds each of its replies."""

    model: str
    optimization: Optimization
    input: Literal["copy", "merge"]
    max_tokens: int
    seed: int


@dataclass(frozen=True, slots=True)
class AugmentJob:
    """AutoIF: new instructions on the format of answers beside the given ones."""

    model: str
    instructions: tuple[str, ...]
    runs: int
    sampling: SamplingSpec
    seed: int


@dataclass(frozen=True, slots=True)
class VerifyJob:
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
class PairJob:
    """AutoIF: seeds as queries that are to be answered under the verified instructions."""

    rules: RuleSet
    queries: int
    seed: int


@dataclass(frozen=True, slots=True)
class EvolveJob:
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
    growth: Growth | None
    eliminates: bool
    sampling: SamplingSpec
    parser: str = ""
    probabilities: int = 0

    def method(self, index: int, seed_id: str, study_seed: int) -> str:
        """The method of the seed with this id, at this place in its file."""
        if self.assignment == "random":
            return drawn_method(self.methods, seed_id, self.round, study_seed)
        return method_for(self.methods, index, self.round)


@dataclass(frozen=True, slots=True)
class EliminateJob:
    """Undo evolutions that failed: by their answers, and by the judge `model`'s word."""

    model: str
    elimination: Elimination


@dataclass(frozen=True, slots=True)
class RespondJob:
    """Answer every instruction `draws` times: as many rows."""

    model: str
    sampling: SamplingSpec
    draws: int = 1


@dataclass(frozen=True, slots=True)
class DrawJob:
    """Answer every instruction `candidates` times: one row."""

    model: str
    sampling: SamplingSpec
    candidates: int


@dataclass(frozen=True, slots=True)
class ChooseJob:
    """Pick one of the candidates by the rewards that the model gives."""

    model: str
    pick: Pick


@dataclass(frozen=True, slots=True)
class CheckJob:
    """AutoIF: keep the answers that functions accept and the judge `model` scores high enough."""

    model: str
    rules: RuleSet
    judgements: int
    sampling: SamplingSpec
    level: Level
    seed: int


@dataclass(frozen=True, slots=True)
class ScoreJob:
    """Score every pair under one model."""

    model: str
    options: ScoringOptions = field(default_factory=ScoringOptions)


@dataclass(frozen=True, slots=True)
class RewardJob:
    """Judge every pair by one reward model."""

    model: str


@dataclass(frozen=True, slots=True)
class JudgeJob:
    """Ask a judge model about every instruction."""

    model: str
    metric: JudgeMetric
    max_tokens: int


@dataclass(frozen=True, slots=True)
class DiversityJob:
    """Find how near the instructions of a set are to one another."""

    diversity: Diversity


@dataclass(frozen=True, slots=True)
class ContaminationJob:
    """Find which instructions of a set overlap with benchmark tasks."""

    contamination: Contamination


@dataclass(frozen=True, slots=True)
class SelectJob:
    """Choose pairs for training."""

    selection: Selection
    seed: int


@dataclass(frozen=True, slots=True)
class TrainJob:
    """Fine-tune a student on the selected pairs, at a place that changes nothing."""

    model: str
    recipe: Recipe
    seed: int
    place: TrainingPlace = field(default_factory=TrainingPlace)


@dataclass(frozen=True, slots=True)
class EvaluateJob:
    """Ask a student, or an untuned base if there is no input step, the tasks of a benchmark."""

    model: str
    benchmark: Benchmark


@dataclass(frozen=True, slots=True)
class VerdictJob:
    """Have the benchmark's judge `model` read answers; a second input step, if any, has those to compare with."""

    model: str
    benchmark: Benchmark


Job = (
    SeedsJob
    | OptimizeJob
    | AugmentJob
    | VerifyJob
    | PairJob
    | EvolveJob
    | EliminateJob
    | RespondJob
    | DrawJob
    | ChooseJob
    | CheckJob
    | ScoreJob
    | RewardJob
    | JudgeJob
    | DiversityJob
    | ContaminationJob
    | SelectJob
    | TrainJob
    | EvaluateJob
    | VerdictJob
)


def rows_of_one(job: Job) -> int:
    """How many rows (or rejections) a row-wise step makes of one row."""
    return job.draws if isinstance(job, RespondJob) else 1


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One node of the study's graph. `payload` is what the key was made of, beside the inputs' keys.

    `label` is `kind` and what it is done to, for people.
    """

    kind: Kind
    label: str
    key: str
    payload: Mapping[str, Any]
    inputs: tuple[Step, ...]
    job: Job

    @property
    def subject(self) -> str:
        """The label without the kind."""
        return self.label.removeprefix(f"{self.kind} ")


@dataclass(frozen=True, slots=True)
class Identity:
    """What a step is, apart from its inputs: the description, and its digest. Many steps of a grid share one."""

    kind: Kind
    payload: Mapping[str, Any]
    digest: str


def identify(kind: Kind, payload: Mapping[str, Any]) -> Identity:
    """The identity of a kind of step with this description."""
    full = {"code_version": CODE_VERSION[kind], **payload}
    return Identity(kind, full, fingerprint(full))


def make_step(identity: Identity, subject: str, job: Job, inputs: tuple[Step, ...]) -> Step:
    """A step with its key: the fingerprint of its kind, its description and its inputs' keys."""
    key = fingerprint([identity.kind, identity.digest, *(step.key for step in inputs)])
    return Step(identity.kind, f"{identity.kind} {subject}", key, identity.payload, inputs, job)
