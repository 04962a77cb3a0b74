"""The `judging` block of a study file: the questions about instructions that a judge model answers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from pipelines.study.spec.basics import ModelName, StrictModel

Question = Literal["difficulty", "difficulty_score", "category", "keywords"]
JudgeMetric = Literal[Question, "reward"]


class Judging(StrictModel):
    """A model rates the difficulty of instructions, classifies them, and names the methods that evolved them.

    (2412.11231: difficulty levels and scores, keywords of Auto Evol-Instruct's trajectories.)
    """

    judge: ModelName
    metrics: list[Question] = Field(default=["difficulty"], min_length=1)
    max_tokens: int = Field(default=32, gt=0, description="limit of a reply")

    @field_validator("metrics")
    @classmethod
    def _once(cls, metrics: list[Question]) -> list[Question]:
        if len(set(metrics)) < len(metrics):
            raise ValueError(f"duplicate metric in {metrics}")
        return metrics
