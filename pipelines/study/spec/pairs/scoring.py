"""Blocks of a study file for measures: perplexities and IFD, diversity, contamination, CAR, questions to a judge."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import Field, field_validator

from actors.engine import Bos
from pipelines.study.spec.common.basics import OWN_BASE, ModelName, Name, ScorerName, StrictModel, SystemPrompt

RewardMode = Literal["raw", "shift", "sigmoid"]
Question = Literal["difficulty", "difficulty_score", "category", "keywords", "tags"]
JudgeMetric = Literal[Question, "reward"]
LABEL_TOKENS = 32
TAGS_TOKENS = 256


class ScoringOptions(StrictModel):
    """How the texts of a pair are scored."""

    form: Literal["raw", "chat", "cherry"] = Field(
        default="raw",
        description="raw text, the scorer's chat template, or Alpaca's prompt as in Cherry_LLM's code (2308.12032)",
    )
    bos: Bos = Field(default="auto", description="whether a BOS token precedes each text; auto: as the tokenizer does")
    boundary: Literal["answer", "question"] = Field(
        default="answer", description="text to which the newline between raw texts belongs"
    )
    probabilities: int = Field(
        default=5, ge=0, description="number of first tokens of an answer whose probabilities are kept"
    )
    truncate: bool = Field(
        default=False,
        description="cut texts longer than the scorer's max_length, instead of rejecting them (2402.00530)",
    )
    ranks: bool = Field(
        default=False,
        description="also the ranks of the answer's tokens: their mean, and RSR (2601.14249)",
    )


class Scoring(ScoringOptions):
    """Perplexities, IFD and IC-IFD of every pair under one model (2412.11231, eq. 1 and 2), or the students' own."""

    name: Name | None = Field(default=None, description="name of these scores; default: the scorer")
    scorer: ScorerName = Field(
        description=f"a model; '{OWN_BASE}': the base model of each student (2411.07133: PPL-self, IFD-self, CAR)"
    )

    @property
    def label(self) -> str:
        """The name of the scores."""
        return self.name or self.scorer

    @property
    def options(self) -> ScoringOptions:
        """How texts are scored, whatever the model."""
        return _options((self,))

    def models(self, bases: Sequence[str]) -> tuple[str, ...]:
        """Return the models that score: one, or each of the students' `bases` once."""
        return tuple(dict.fromkeys(bases)) if self.scorer == OWN_BASE else (self.scorer,)


@lru_cache(maxsize=1024)  # a grid asks for each data set
def _options(of: tuple[Scoring]) -> ScoringOptions:
    (scoring,) = of
    return ScoringOptions(**scoring.model_dump(include={*ScoringOptions.model_fields}))


class Lengths(StrictModel):
    """All lengths of texts are counted in one tokenizer, whatever model wrote or scored them."""

    tokenizer: Name = Field(description="one of the study's models; only its tokenizer is loaded")


class Diversity(StrictModel):
    """Distances between the instructions of a set (2412.11231, minimum neighbor distance)."""

    encoder: str = Field(
        description="sentence-transformers model: an installed package, a local folder (relative to the study file) "
        "or a hub name"
    )
    revision: str | None = Field(default=None, description="hub models: the commit")


class Contamination(StrictModel):
    """Finds instructions that overlap with benchmark tasks, by shared word n-grams (2406.00770) or embeddings."""

    against: list[str] = Field(
        min_length=1, description="benchmarks of this study, or files of texts (relative to the study file)"
    )
    ngrams: list[Annotated[int, Field(gt=0)]] = Field(
        default=[13, 8], min_length=1, description="lengths of the n-grams, as numbers of words"
    )
    near: float | None = Field(
        default=None, gt=0, le=1, description="also find pairs with at least this cosine similarity; needs 'diversity'"
    )


class Car(StrictModel):
    """CAR of every data set (2411.07133): its mean reward, discounted by the loss of its answers under the scorer."""

    betas: list[Annotated[float, Field(ge=0)]] = Field(default=[0.0, 0.5, 1.0, 2.0, 3.0], min_length=1)
    mode: RewardMode = Field(
        default="raw",
        description="how rewards are made non-negative: 'raw' (unchanged), 'shift' (subtract the minimum of the "
        "compared sets) or 'sigmoid' (of each set's mean)",
    )


class Judging(StrictModel):
    """A model rates the difficulty of instructions, classifies and tags them, and names the methods that evolved them.

    (2412.11231: difficulty levels and scores, keywords of Auto Evol-Instruct's trajectories. 2406.00770: tags.)
    """

    judge: ModelName
    metrics: list[Question] = Field(default=["difficulty"], min_length=1)
    max_tokens: int | None = Field(
        default=None,
        gt=0,
        description=f"limit of a reply; default: {LABEL_TOKENS}, and {TAGS_TOKENS} for tags",
    )
    share: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="share of the seeds whose instructions are judged: the same seeds in every data set",
    )
    system: SystemPrompt | None = Field(default=None, description="system prompt of the judge: a text, or {file: ...}")

    def reply_tokens(self, metric: Question) -> int:
        """Return the limit of a reply to this question."""
        return self.max_tokens or (TAGS_TOKENS if metric == "tags" else LABEL_TOKENS)

    @field_validator("metrics")
    @classmethod
    def _once(cls, metrics: list[Question]) -> list[Question]:
        if len(set(metrics)) < len(metrics):
            raise ValueError(f"duplicate metric in {metrics}")
        return metrics
