"""What a judge model is asked about instructions."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from pipelines.study.spec.basics import Name, StrictModel

Question = Literal["difficulty", "difficulty_score", "category", "keywords"]
JudgeMetric = Literal[Question, "reward"]


class Judging(StrictModel):
    """A model says how difficult instructions are, of which kind, and names the methods by which they were evolved.

    (2412.11231: difficulty levels and scores, keywords of Auto Evol-Instruct's trajectories.)
    """

    judge: Name
    metrics: list[Question] = Field(default=["difficulty"], min_length=1)
    max_tokens: int = Field(default=32, gt=0, description="of a reply")

    @field_validator("metrics")
    @classmethod
    def _once(cls, metrics: list[Question]) -> list[Question]:
        if len(set(metrics)) < len(metrics):
            raise ValueError("a metric is given twice")
        return metrics
