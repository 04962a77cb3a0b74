"""The parameters of the steps that answer instructions, and of those that choose among answers or check them."""

from __future__ import annotations

from dataclasses import dataclass

from actors.sandbox.protocol.job import Level
from pipelines.study.graph.steps.step import ModelFreeParams, StepParams
from pipelines.study.spec.common.basics import SamplingSpec
from pipelines.study.spec.instructions.autoif import RuleSet
from pipelines.study.spec.instructions.seeds import Seeds
from pipelines.study.spec.pairs.responses import Given, SelectionRule


@dataclass(frozen=True, slots=True)
class GivenParams(ModelFreeParams):
    """Read existing answers to the rows of a seed set."""

    kind = "given"
    code_version = 1

    given: Given
    seeds: Seeds


@dataclass(frozen=True, slots=True)
class RespondParams(StepParams):
    """Answer every instruction `draws` times, with one row for each answer, sampled with `seed`."""

    kind = "respond"
    code_version = 3
    row_wise = True
    role = "teacher"

    sampling: SamplingSpec
    draws: int = 1
    system: str = ""
    seed: int = 0

    @property
    def rows_per_input(self) -> int:
        """Return the number of answers to each instruction."""
        return self.draws


@dataclass(frozen=True, slots=True)
class SampleCandidatesParams(StepParams):
    """Answer every instruction `candidates` times, with one row for all answers, sampled with `seed`."""

    kind = "draw"
    code_version = 2
    row_wise = True
    role = "teacher"

    sampling: SamplingSpec
    candidates: int
    system: str = ""
    seed: int = 0


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
    code_version = 3
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
class UnionParams(ModelFreeParams):
    """Unite the answers of several data sets. The first input has their instructions, the others are the answers.

    A step that unites measurements has these parameters and the kind of its parts. Its first input has the united rows
    that were measured.
    """

    kind = "union"
    code_version = 1
    unites = True

    @property
    def parts_from(self) -> int:
        """Return the place of the first part among the step's inputs."""
        return 1


@dataclass(frozen=True, slots=True)
class UnionInstructionsParams(UnionParams):
    """Unite the instructions of several data sets, which are the inputs."""

    kind = "union_instructions"

    @property
    def parts_from(self) -> int:
        """Return the place of the first part among the step's inputs."""
        return 0
