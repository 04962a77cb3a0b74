"""The parameters of the steps that read, rewrite and pair instructions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from actors.sandbox.protocol.job import Level
from pipelines.study.graph.steps.methods import method_for, random_method
from pipelines.study.graph.steps.step import ModelFreeParams, StepParams
from pipelines.study.spec.common.basics import SamplingSpec
from pipelines.study.spec.instructions.autoif import RuleSet
from pipelines.study.spec.instructions.evolution import (
    Assignment,
    Elimination,
    LengthBound,
    OnFailure,
    Optimization,
    Turn,
)
from pipelines.study.spec.instructions.seeds import Seeds


@dataclass(frozen=True, slots=True)
class SeedsParams(ModelFreeParams):
    """Read a seed file, or generate seeds of the bundled world."""

    kind = "seeds"
    code_version = 3

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
    code_version = 2
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
