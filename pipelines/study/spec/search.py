"""The `search` block of a study file: only those cells are trained that are needed to find the best arm."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from pipelines.study.spec.common.basics import MAX_SEEDS, StrictModel, as_list, scalar_or_list_schema
from pipelines.study.spec.evaluation.performance import EXAMPLE, checked_formula
from pipelines.study.spec.pairs.selection import Metric

SearchAxis = Literal["teacher", "evolver", "round", "selection", "decoding", "recipe"]


class Rungs(StrictModel):
    """Partial trainings: students are also trained on a part of the selected pairs, whose scores predict full ones.

    A share is measured first on cells that are trained in full. Only if its scores rank them as the full ones do, all
    other cells get partial trainings, whose scores are one more prior.
    """

    shares: Annotated[list[Annotated[float, Field(gt=0, lt=1)]], Field(min_length=1), BeforeValidator(as_list)] = Field(
        json_schema_extra=scalar_or_list_schema,
        description="of the selected pairs, in rising order; the first that is trusted is used",
    )
    trust: float = Field(
        default=0.9, ge=-1, le=1, description="Spearman's rank correlation with full trainings that a share must reach"
    )
    cells: int = Field(
        default=5, ge=3, description="the least number of cells, trained both ways, that the correlation is measured on"
    )

    @model_validator(mode="after")
    def _rising(self) -> Rungs:
        if self.shares != sorted({*self.shares}):
            given = ", ".join(f"{share:g}" for share in self.shares)
            rising = ", ".join(f"{share:g}" for share in sorted({*self.shares}))
            raise ValueError(f"the shares {given} must be in rising order, each once: write [{rising}]")
        return self


class Search(StrictModel):
    """Finds the best arm (a teacher, an evolver, ...) of each student, or of all, without training every cell.

    A cell is a student and an arm. Its score is the mean of the objective over all of its trainings.
    """

    over: Annotated[list[SearchAxis], Field(min_length=1), BeforeValidator(as_list)] = Field(
        json_schema_extra=scalar_or_list_schema,
        description="the coordinate that tells arms apart, or several: each combination of them is an arm",
    )
    per: Literal["student", "all"] = Field(
        default="student", description="whether each student has its best arm, or all students have one together"
    )
    objective: Annotated[str, AfterValidator(checked_formula)] | None = Field(
        default=None,
        description=f"the score of a training: a benchmark or a formula over benchmarks, such as '{EXAMPLE}'; default: "
        "the study's 'performance'",
    )
    better: Literal["high", "low"] = Field(default="high", description="the better end of the objective")
    scale: Literal["log", "linear"] = Field(
        default="log", description="of the objective; 'linear' for one that can be negative"
    )
    prior: Annotated[list[Metric], BeforeValidator(as_list)] = Field(
        default=[],
        json_schema_extra=scalar_or_list_schema,
        description="metrics of answers, measured on the probe, that say which arms are trained first",
    )
    probe: int = Field(default=200, gt=0, description="the first seeds of each set, which all arms answer")
    start: int = Field(default=2, gt=0, description="arms that are trained before the model of the grid is asked")
    epsilon: float = Field(
        default=0.05,
        gt=0,
        description="how far from the best the found arm may be: a share of the best score on the scale 'log', a "
        "difference of scores on the scale 'linear'",
    )
    risk: float = Field(
        default=0.1, ge=0, lt=1, description="of a better arm among those not trained, at which the search stops"
    )
    rungs: Rungs | None = Field(
        default=None, description="partial trainings that say which arms are trained next; default: none"
    )
    seeds: int | None = Field(
        default=None,
        gt=0,
        le=MAX_SEEDS,
        description="training seeds of the two best arms, for students without 'seeds'; all others have one. "
        "Default: the students' own",
    )

    @model_validator(mode="after")
    def _share_below_one(self) -> Search:
        if self.scale == "log" and self.epsilon >= 1:
            raise ValueError(f"epsilon {self.epsilon:g} is a share of the score on the scale 'log'; it must be below 1")
        if len({*self.over}) < len(self.over):
            raise ValueError(f"duplicate value in 'over' {self.over}")
        return self
