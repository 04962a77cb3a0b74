"""The `autoif` block of a study file: how AutoIF generates instructions whose answers can be checked (2406.13542)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from actors.sandbox.protocol.job import Level
from pipelines.study.spec.common.basics import ClassifierName, ModelName, StrictModel

RuleSet = Literal["paper", "code", "port"]


class AutoIF(StrictModel):
    """Generates instructions on the format of answers, functions that verify the format, and queries that use both.

    The evolver writes instructions, functions and back-translations. Teachers answer the queries. The judge scores
    their answers.
    """

    instructions: str = Field(description="text file with one instruction on the format of an answer per line")
    rules: RuleSet = Field(
        default="paper",
        description="rules for what is kept; paper: 2406.13542, code: its official code, "
        "port: 2412.11231's code, which neither back-translates nor checks or scores answers",
    )
    runs: int = Field(default=100, ge=0, description="number of requests to the evolver, each for 50 new instructions")
    generations: int = Field(
        default=8, gt=0, description="verification functions, each with test cases, per instruction"
    )
    nli: ClassifierName | None = Field(
        default=None, description="classifier model that detects contradictory back-translations; not with port"
    )
    queries: int = Field(default=16, gt=0, description="seeds that are drawn as queries for each instruction")
    responses: int = Field(
        default=8, gt=0, description="answers of each teacher to each query; default: 8, or 1 with port"
    )
    judge: ModelName | None = Field(default=None, description="model that scores the answers; default: the evolver")
    judgements: int = Field(default=1, gt=0, description="scores per answer, which are averaged")
    sandbox: Level = Field(
        default="L2", description="protection level of the sandbox for model-written functions; below L2 is unsafe"
    )

    @model_validator(mode="before")
    @classmethod
    def _published_draws(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("rules") == "port":
            return {"responses": 1, **value}
        return value

    @model_serializer(mode="wrap")
    def _with_responses(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write `responses` whenever another default would be read in its place."""
        content: dict[str, Any] = handler(self)
        return content | ({"responses": self.responses} if self.rules == "port" and self.responses != 1 else {})

    @model_validator(mode="after")
    def _checks_of_the_rules(self) -> AutoIF:
        if self.rules != "port" and self.nli is None:
            raise ValueError(
                f"the rules '{self.rules}' check functions by back-translation: set 'nli' to a classifier model, "
                "or use the rules 'port'"
            )
        if self.rules == "port" and (self.nli or self.judge):
            raise ValueError("the rules 'port' use neither 'nli' nor 'judge'")
        return self

    @property
    def checks_answers(self) -> bool:
        """Whether verification functions and a judge check the answers."""
        return self.rules != "port"
