"""The part of a study file that says how AutoIF makes instructions whose answers can be checked (2406.13542)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from actors.sandbox.protocol.job import Level
from pipelines.study.spec.basics import Name, StrictModel

RuleSet = Literal["paper", "code", "port"]


class AutoIF(StrictModel):
    """New instructions on the format of answers, functions that check them, and queries to be answered under them.

    The evolver writes instructions, functions and back-translations; teachers answer; the judge scores their answers.
    """

    instructions: str = Field(description="a text file with one instruction on the format of an answer in each line")
    rules: RuleSet = Field(
        default="paper",
        description="what is kept; paper: 2406.13542, code: its official code, "
        "port: 2412.11231's code, which neither back-translates nor checks or scores answers",
    )
    runs: int = Field(default=100, ge=0, description="how often the evolver is asked for 50 new instructions")
    generations: int = Field(default=8, gt=0, description="functions, each with cases, for an instruction")
    nli: Name | None = Field(
        default=None, description="a classifier model that finds back-translations which contradict; not with port"
    )
    queries: int = Field(default=16, gt=0, description="seeds, drawn for each instruction, to be answered under it")
    responses: int = Field(default=8, gt=0, description="a teacher's answers to each query; default: 8, or 1 with port")
    judge: Name | None = Field(default=None, description="scores the answers; default: the evolver itself")
    judgements: int = Field(default=1, gt=0, description="scores of an answer, of which the mean counts")
    sandbox: Level = Field(default="L2", description="what model-written functions are confined by; below L2 is unsafe")

    @model_validator(mode="before")
    @classmethod
    def _published_draws(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("rules") == "port":
            return {"responses": 1, **value}
        return value

    @model_validator(mode="after")
    def _checks_of_the_rules(self) -> AutoIF:
        if self.rules != "port" and self.nli is None:
            raise ValueError(
                f"the rules '{self.rules}' check functions by back-translation: name a classifier model in 'nli', "
                "or take the rules 'port'"
            )
        if self.rules == "port" and (self.nli or self.judge):
            raise ValueError("the rules 'port' use neither 'nli' nor 'judge'")
        return self

    @property
    def checks_answers(self) -> bool:
        """Whether answers pass through functions and a judge."""
        return self.rules != "port"
