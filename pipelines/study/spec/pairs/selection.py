"""The `selection` block of a study file: which pairs are used for training, and the metrics to select by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipelines.study.spec.common.basics import Name, StrictModel, name_from
from pipelines.study.spec.pairs.scoring import RewardMode

Direction = Literal["high", "low"]


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """A metric of (instruction, response) pairs.

    `better` is its better end, `needs` are the kinds of the steps whose rows it is taken from, `column` is the column
    of the first of them that holds it; without a column, `operators.select.metrics.COMPUTED` has its function.

    `option` is the option of `scoring` that has to be on; without it, the scores do not have the metric.

    `label` is its heading in the report. The report and `predict` show the metrics that have one for every data set.
    `about` is a sentence that explains it to readers of the report.
    """

    better: Direction
    needs: tuple[str, ...] = ()
    column: str = ""
    label: str = ""
    about: str = ""
    option: str = ""


_ABOUT_PPL = "PPL is the perplexity of the instruction, of the answer alone, and of the answer after its instruction."
_ABOUT_IFD = "IFD is the answer's loss after its instruction over its loss alone."
_ABOUT_IFD_PPL = "IFD PPL is the ratio of the two perplexities."
_ABOUT_RSR = "RSR is the mean rank of the answer's tokens after the instruction over their mean loss (2601.14249)."
_ABOUT_IC_IFD = "IC-IFD divides IFD by the instruction's loss as well."
_ABOUT_LENGTHS = "Tokens are counted in the tokenizer that the study names."
# all metrics by name, in the order of the report; the better ends are those of 2412.11231, Table 5, where it has them
METRICS: dict[str, MetricSpec] = {
    "ppl_instruction": MetricSpec("low", ("score",), "ppl_instruction", "PPL instr.", _ABOUT_PPL),
    "ppl_answer": MetricSpec("low", ("score",), "ppl_answer", "PPL answer"),
    "ppl_conditional": MetricSpec("low", ("score",), "ppl_conditional", "PPL cond."),
    "ifd": MetricSpec("high", ("score",), "ifd", "IFD", _ABOUT_IFD),
    "ifd_ppl": MetricSpec("high", ("score",), "ifd_ppl", "IFD PPL", _ABOUT_IFD_PPL),
    "ic_ifd": MetricSpec("high", ("score",), "ic_ifd", "IC-IFD", _ABOUT_IC_IFD),
    "mean_rank": MetricSpec("low", ("score",), "mean_rank", "Mean rank", option="ranks"),
    "rsr": MetricSpec("low", ("score",), "rsr", "RSR", _ABOUT_RSR, "ranks"),
    "reward": MetricSpec("high", ("reward",), "reward"),
    "car": MetricSpec("high", ("reward", "score")),
    "distance": MetricSpec("high", ("diversity",), "distance"),
    "repeats": MetricSpec("low", ("diversity",), "repeats"),
    "length": MetricSpec("low", ("lengths",), "tokens_instruction", "Tokens instr.", _ABOUT_LENGTHS),
    "length_with_input": MetricSpec("low", ("lengths",), "tokens_with_input", "Tokens with input"),
    "length_answer": MetricSpec("high", ("lengths",), "tokens_answer", "Tokens answer"),
    "words": MetricSpec("low"),
    "random": MetricSpec("high"),
}


def reported_metrics() -> dict[str, MetricSpec]:
    """Return the metrics that the report and `predict` show for every data set, in the report's order."""
    return {name: spec for name, spec in METRICS.items() if spec.label}


def metrics_of(kind: str) -> tuple[str, ...]:
    """Return the names of the metrics that need rows of a kind of step."""
    return tuple(name for name, spec in METRICS.items() if kind in spec.needs)


Metric = Annotated[str, *name_from(lambda: [*METRICS])]
"""The name of one of METRICS."""
RULES: dict[str, tuple[str, ...]] = {"best": ()}
"""The rules that choose among ranked pairs, with the kinds of the steps whose rows they need, beside the metric's."""
RuleName = Annotated[str, *name_from(lambda: [*RULES])]
Fraction = Annotated[float, Field(gt=0, le=1)]


class Selection(StrictModel):
    """Selects the best pairs by a metric, within bounds, for training.

    From the pairs within all bounds, it selects the best fraction `keep` or the best `size` pairs. The fraction refers
    to all pairs or to those within the bounds (`share_of`). With `equal`, it selects the same number of pairs from
    every set of the same seeds: the smallest number that this selection finds in any of them.
    """

    name: Name
    by: Metric = "random"
    rule: RuleName = Field(default="best", description="how pairs are chosen after they are ranked; best: the first")
    keep: Fraction = 1.0
    share_of: Literal["all", "left"] = Field(
        default="all", description="what 'keep' is a fraction of; 'left': the pairs within the bounds"
    )
    size: int | None = Field(default=None, gt=0, description="number of pairs to select, instead of 'keep'")
    equal: bool = Field(
        default=False, description="select the same number of pairs from all sets of the same seeds (the smallest)"
    )
    order: Direction | None = Field(
        default=None, description="select the highest or the lowest values; default: the better ones"
    )
    above: float | None = Field(default=None, description="only pairs whose metric is greater")
    below: float | None = Field(
        default=None, description="only pairs whose metric is less (Superfiltering: IFD below 1)"
    )
    at_most: float | None = Field(
        default=None, description="only pairs whose metric is not greater (Cherry: IFD of at most 1)"
    )
    apart: float | None = Field(
        default=None, gt=0, le=4, description="skip an instruction that is nearer than this to a better, selected one"
    )
    reward: Name | None = Field(default=None, description="by reward or car: which reward model, if there are several")
    scorer: Name | None = Field(
        default=None, description="by a metric of scores: name of the scorer; default: the study's first one"
    )
    beta: float = Field(default=1.0, ge=0, description="by car: weight of a pair's loss")
    mode: RewardMode = Field(default="raw", description="by car: how rewards are converted, as in the study's 'car'")

    @model_validator(mode="after")
    def _one_amount(self) -> Selection:
        if self.size is not None and self.keep != 1.0:
            raise ValueError("give 'keep' or 'size', not both")
        return self

    @model_validator(mode="after")
    def _of_the_metric(self) -> Selection:
        by_reward, by_score = metrics_of("reward"), (*metrics_of("lengths"), *metrics_of("score"))
        of = {"reward": by_reward, "scorer": by_score, "beta": ("car",), "mode": ("car",)}
        for name in sorted(self.model_fields_set & of.keys()):
            if self.by not in of[name]:
                raise ValueError(f"'{name}' is only allowed with 'by: {of[name][-1]}', and this is 'by: {self.by}'")
        return self

    @property
    def draws(self) -> bool:
        """Whether it draws some of the pairs at random, so that another seed selects others."""
        partial = self.keep < 1.0 or self.size is not None or self.apart is not None or self.equal
        return self.by == "random" and partial

    @property
    def needs(self) -> tuple[str, ...]:
        """The kinds of the steps whose rows are needed besides the pairs."""
        return tuple(
            dict.fromkeys([*METRICS[self.by].needs, *RULES[self.rule], *(["diversity"] if self.apart else [])])
        )
