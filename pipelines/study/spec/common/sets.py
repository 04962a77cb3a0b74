"""The `sets` block of a study file: data sets that are made of the rows of several others."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from pipelines.study.spec.common.basics import Name, StrictModel, as_list
from pipelines.study.spec.common.patterns import Numbers

ALL = "all"


def _list_unless_all(value: Any) -> Any:
    return value if value == ALL else as_list(value)


Some = Annotated[Literal["all"] | Annotated[list[Name], Field(min_length=1)], BeforeValidator(_list_unless_all)]
SomeRounds = Annotated[Literal["all"] | Numbers, BeforeValidator(_list_unless_all)]


class UnionOf(StrictModel):
    """Which data sets are united: those with these values. What differs in other coordinates is kept apart."""

    seeds: Some | None = Field(default=None, description="seed sets, or all")
    method: Some | None = Field(default=None, description="names of evolutions, or all")
    evolvers: Some | None = Field(default=None, description="evolvers, or all")
    rounds: SomeRounds | None = Field(default=None, description="rounds, or all; 0: the un-evolved seeds")
    teachers: Some | None = Field(default=None, description="teachers and names of given answers, or all")
    decodings: Some | None = Field(default=None, description="decodings or their variants, or all")

    @model_validator(mode="after")
    def _some_coordinate(self) -> UnionOf:
        if not self.values:
            raise ValueError("give at least one of 'seeds', 'method', 'evolvers', 'rounds', 'teachers', 'decodings'")
        return self

    @property
    def values(self) -> dict[str, list[str] | list[int] | None]:
        """The values of the united coordinates by name, as patterns name them; None for all values."""
        named = {name: getattr(self, name) for name in type(self).model_fields}
        return {
            name.removesuffix("s") if name != "seeds" else name: None if found == ALL else found
            for name, found in named.items()
            if found is not None
        }


class UnitedSet(StrictModel):
    """A data set that is made of the rows of several others, once for each combination of their other coordinates."""

    name: Name
    union: UnionOf
    parts: bool = Field(default=True, description="whether students are also trained on each of the united sets alone")
