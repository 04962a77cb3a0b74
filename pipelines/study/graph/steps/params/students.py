"""The parameters of the steps that select pairs, train students and examine them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from actors.sandbox.protocol.job import Level
from pipelines.study.graph.steps.fingerprint import fingerprint
from pipelines.study.graph.steps.step import ModelFreeParams, StepParams
from pipelines.study.spec.evaluation.benchmarks import Benchmark
from pipelines.study.spec.pairs.selection import Selection
from pipelines.study.spec.training.recipes import Recipe, TrainingResources


@dataclass(frozen=True, slots=True)
class SelectParams(ModelFreeParams):
    """Select pairs for training. `truncated` says whether a pair with a truncated answer can be selected.

    For a partial training, `share` is the share of the selected pairs that is kept.
    """

    kind = "select"
    code_version = 5

    selection: Selection
    seed: int
    truncated: Literal["drop", "keep"] = "drop"
    share: float = 1.0

    @property
    def variant(self) -> str:
        """Return the share of a partial training."""
        return "" if self.share == 1 else f"{self.share:g}"


@dataclass(frozen=True, slots=True)
class TrainParams(StepParams):
    """Fine-tune a student on the selected pairs, with `thoughts` also on the teacher's thoughts.

    `resources` do not change the result. `template` is the chat template of the student; None: the base's own.
    """

    kind = "train"
    code_version = 3
    work_type = "train"

    recipe: Recipe
    seed: int
    resources: TrainingResources = field(default_factory=TrainingResources)
    thoughts: bool = False
    template: str | None = None

    @property
    def variant(self) -> str:
        """Return a short digest of the recipe."""
        return fingerprint(self.recipe)[:8]


@dataclass(frozen=True, slots=True)
class EvaluateParams(StepParams):
    """Have a student answer a benchmark's tasks; without an input step, the untuned base model.

    `template` is the chat template in which an untuned base answers; None: its own.
    """

    kind = "evaluate"
    code_version = 3

    benchmark: Benchmark
    template: str | None = None

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
    code_version = 4
    row_wise = True

    benchmark: Benchmark

    @property
    def variant(self) -> str:
        """Return the benchmark's name."""
        return self.benchmark.name
