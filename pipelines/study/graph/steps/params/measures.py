"""The parameters of the steps that measure instructions and pairs."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipelines.study.graph.steps.step import ModelFreeParams, StepParams
from pipelines.study.spec.pairs.scoring import Contamination, Diversity, JudgeMetric, ScoringOptions


@dataclass(frozen=True, slots=True)
class ScoreParams(StepParams):
    """Score every pair with one model."""

    kind = "score"
    code_version = 6
    row_wise = True
    work_type = "score"
    role = "scorer"

    options: ScoringOptions = field(default_factory=ScoringOptions)


@dataclass(frozen=True, slots=True)
class LengthsParams(ModelFreeParams):
    """Count the tokens of every pair in the tokenizer of one of the study's models, which is not loaded."""

    kind = "lengths"
    code_version = 1

    tokenizer: str


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
    """Ask a judge model about the instructions of a `share` of the seeds."""

    kind = "judge"
    code_version = 3
    row_wise = True
    role = "judge"

    metric: JudgeMetric
    max_tokens: int
    system: str = ""
    share: float = 1.0


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
