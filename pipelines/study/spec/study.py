"""The study file as frozen, strict types, from which the JSON Schema and the step keys are generated."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from pipelines.study.spec.basics import ClassifierName, Name, StrictModel, as_list, scalar_or_list_schema
from pipelines.study.spec.benchmarks import Benchmark
from pipelines.study.spec.evolution import Evolution
from pipelines.study.spec.model import Model
from pipelines.study.spec.recipes import Recipe, Student, add_published_recipes
from pipelines.study.spec.responses import Responses
from pipelines.study.spec.scoring import Car, Contamination, Diversity, Judging, Scoring
from pipelines.study.spec.seeds import Seeds
from pipelines.study.spec.selection import Selection


class Study(StrictModel):
    """A study. Its grid is method x evolver x round x teacher x decoding x selection x student."""

    study: Name
    description: str = ""
    seed: int = 0
    seeds: list[Seeds] = Field(min_length=1)
    models: dict[Name, Model] = Field(min_length=1)
    evolution: Annotated[
        list[Evolution], BeforeValidator(as_list), Field(min_length=1, json_schema_extra=scalar_or_list_schema)
    ]
    responses: Responses
    scoring: Scoring | None = None
    diversity: Diversity | None = None
    contamination: Contamination | None = None
    rewards: list[ClassifierName] = Field(default=[], description="reward models that score every pair")
    instruction_reward: ClassifierName | None = Field(
        default=None,
        description="reward model that scores evolved instructions as answers to the evolvers' prompts",
    )
    car: Car = Car()
    judging: Judging | None = None
    selection: list[Selection] = Field(default=[Selection(name="all")], min_length=1)
    recipes: dict[Name, Recipe] = Field(default={})
    students: list[Student] = Field(default=[])
    benchmarks: list[Benchmark] = Field(default=[])
    published: str | None = Field(
        default=None,
        description="CSV file (relative to the study file) of published numbers for comparison, with the columns "
        "'value', 'source' and any columns of results.csv that identify the result",
    )

    @model_validator(mode="before")
    @classmethod
    def _papers_recipes(cls, value: Any) -> Any:
        return add_published_recipes(value)
