"""What a study file has scored: perplexities, diversity, contamination and CAR."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from actors.engine import Bos
from pipelines.study.spec.basics import Name, StrictModel

RewardMode = Literal["raw", "shift", "sigmoid"]


class ScoringOptions(StrictModel):
    """What exactly is scored of a pair."""

    form: Literal["raw", "chat"] = Field(default="raw", description="raw text, or the scorer's chat template")
    bos: Bos = Field(default="auto", description="the BOS in front of each text; auto: as the tokenizer has it")
    boundary: Literal["answer", "question"] = Field(
        default="answer", description="to which of them the newline between raw texts belongs"
    )
    probabilities: int = Field(default=5, ge=0, description="first tokens of an answer whose probabilities are kept")


class Scoring(ScoringOptions):
    """Perplexities, IFD and IC-IFD of every pair under one model (2412.11231, eq. 1 and 2)."""

    scorer: Name


class Diversity(StrictModel):
    """How near the instructions of a set are to one another (2412.11231, minimum neighbor distance)."""

    encoder: str = Field(
        description="sentence-transformers model: an installed package, a local folder (relative to the study file) "
        "or a hub name"
    )
    revision: str | None = Field(default=None, description="hub models: the commit")


class Contamination(StrictModel):
    """Which instructions overlap with benchmark tasks: by shared n-grams of words (2406.00770), by embeddings."""

    against: list[str] = Field(
        min_length=1, description="benchmarks of this study, or files of texts (relative to the study file)"
    )
    ngrams: list[Annotated[int, Field(gt=0)]] = Field(default=[13, 8], min_length=1, description="in words")
    near: float | None = Field(
        default=None, gt=0, le=1, description="also embeddings whose cosine is not below this; needs 'diversity'"
    )


class Car(StrictModel):
    """CAR of every data set (2411.07133): its mean reward, less the harder its answers are for the scorer."""

    betas: list[Annotated[float, Field(ge=0)]] = Field(default=[0.0, 0.5, 1.0, 2.0, 3.0], min_length=1)
    mode: RewardMode = Field(
        default="raw",
        description="what is done with rewards before, which are not to be negative: nothing, "
        "'shift' (less the least of the compared sets) or 'sigmoid' (of each set's mean)",
    )
