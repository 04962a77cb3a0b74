"""How a study file chooses pairs for training, and the metrics that it can choose by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipelines.study.spec.basics import Name, StrictModel
from pipelines.study.spec.scoring import RewardMode

Metric = Literal[
    "ifd",
    "ic_ifd",
    "ppl_instruction",
    "ppl_answer",
    "ppl_conditional",
    "reward",
    "car",
    "distance",
    "repeats",
    "length",
    "words",
    "random",
]
Direction = Literal["high", "low"]


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """The better end of a metric, the kinds of the steps whose rows it needs, and its column, unless it is computed."""

    better: Direction
    needs: tuple[str, ...]
    column: str = ""


# the better ends are those of 2412.11231, Table 5, where it has the metric
METRICS: Mapping[Metric, MetricSpec] = {
    "ifd": MetricSpec("high", ("score",), "ifd"),
    "ic_ifd": MetricSpec("high", ("score",), "ic_ifd"),
    "ppl_instruction": MetricSpec("low", ("score",), "ppl_instruction"),
    "ppl_answer": MetricSpec("low", ("score",), "ppl_answer"),
    "ppl_conditional": MetricSpec("low", ("score",), "ppl_conditional"),
    "reward": MetricSpec("high", ("reward",), "reward"),
    "car": MetricSpec("high", ("reward", "score")),
    "distance": MetricSpec("high", ("diversity",), "distance"),
    "repeats": MetricSpec("low", ("diversity",), "repeats"),
    "length": MetricSpec("low", ("score",), "tokens_instruction"),
    "words": MetricSpec("low", ()),
    "random": MetricSpec("high", ()),
}

Fraction = Annotated[float, Field(gt=0, le=1)]


class Selection(StrictModel):
    """Which pairs go into training: the best by a metric, within bounds.

    Of the pairs within all bounds the best `keep` share of `share_of` (all pairs, or those within the bounds) are
    chosen, or `size` pairs. `equal` chooses no more than the same selection finds in every set of the same seeds.
    """

    name: Name
    by: Metric = "random"
    keep: Fraction = 1.0
    share_of: Literal["all", "left"] = Field(default="all", description="'left': of the pairs within the bounds")
    size: int | None = Field(default=None, gt=0, description="this many pairs instead of a share")
    equal: bool = Field(default=False, description="as many as the smallest selection of the same seeds has")
    order: Direction | None = Field(
        default=None, description="the end of the metric that is kept; default: the better one"
    )
    above: float | None = Field(default=None, description="only pairs whose metric is greater")
    below: float | None = Field(default=None, description="only pairs whose metric is less: 1 with IFD: Superfiltering")
    at_most: float | None = Field(
        default=None, description="only pairs whose metric is not greater: 1 with IFD: Cherry"
    )
    apart: float | None = Field(
        default=None, gt=0, le=4, description="pass over an instruction that is nearer to a better one chosen before"
    )
    reward: Name | None = Field(default=None, description="by reward or car: which reward model, if there are several")
    beta: float = Field(default=1.0, ge=0, description="by car: how much a pair's loss counts")
    mode: RewardMode = Field(default="raw", description="by car: what is done with rewards, as under the study's 'car'")

    @model_validator(mode="after")
    def _one_amount(self) -> Selection:
        if self.size is not None and self.keep != 1.0:
            raise ValueError("give 'keep' or 'size', not both")
        return self

    @model_validator(mode="after")
    def _of_the_metric(self) -> Selection:
        of = {"reward": ("reward", "car"), "beta": ("car",), "mode": ("car",)}
        for name in sorted(self.model_fields_set & of.keys()):
            if self.by not in of[name]:
                raise ValueError(f"'{name}' belongs to 'by: {of[name][-1]}', and this is 'by: {self.by}'")
        return self

    @property
    def needs(self) -> tuple[str, ...]:
        """The kinds of the steps whose rows are needed beside the pairs."""
        return tuple(dict.fromkeys([*METRICS[self.by].needs, *(["diversity"] if self.apart else [])]))
