"""Patterns of a study file's `only` and `except`: parts of its grid, by coordinates."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from pipelines.study.spec.common.basics import Name, StrictModel, as_list, scalar_or_list_schema

_ONE_OR_MORE = BeforeValidator(as_list), Field(min_length=1, json_schema_extra=scalar_or_list_schema)
Names = Annotated[list[Name], *_ONE_OR_MORE]
Numbers = Annotated[list[Annotated[int, Field(ge=0)]], *_ONE_OR_MORE]
SET_COORDINATES = ("seeds", "method", "evolver", "round", "teacher", "decoding", "answer_seed", "set")
CELL_COORDINATES = ("selection", "student", "recipe", "seed")
EVALUATION_COORDINATES = ("benchmark",)


class Pattern(StrictModel):
    """Some coordinates of the grid with one or several values each. It matches what has one of them, in every one."""

    seeds: Names = Field(default=[], description="seed sets")
    method: Names = Field(default=[], description="names of evolutions")
    evolver: Names = Field(default=[], description="models that rewrote the instructions")
    round: Numbers = Field(default=[], description="rounds of evolution; 0: the un-evolved seeds")
    teacher: Names = Field(default=[], description="models that answered, or names of given answers")
    decoding: Names = Field(default=[], description="decodings or their variants; 'given' for given answers")
    answer_seed: Numbers = Field(default=[], description="seeds with which answers were sampled")
    set: Names = Field(default=[], description="names of united sets")
    selection: Names = Field(default=[], description="selections")
    student: Names = Field(default=[], description="base models of students")
    recipe: Names = Field(default=[], description="recipes of students")
    seed: Numbers = Field(default=[], description="seeds of trainings")
    benchmark: Names = Field(default=[], description="benchmarks")

    @model_validator(mode="after")
    def _some_coordinate(self) -> Pattern:
        if not self.coordinates:
            raise ValueError("a pattern without a coordinate matches everything: name at least one")
        return self

    @property
    def coordinates(self) -> dict[str, list[str] | list[int]]:
        """The coordinates that the pattern names, with their values."""
        return {name: values for name in type(self).model_fields if (values := getattr(self, name))}

    @property
    def text(self) -> str:
        """The pattern as it could be written in the file."""
        parts = (
            f"{name}: {values[0] if len(values) == 1 else '[' + ', '.join(map(str, values)) + ']'}"
            for name, values in self.coordinates.items()
        )
        return "{" + ", ".join(parts) + "}"
