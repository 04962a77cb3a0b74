"""The `layouts` block of a study file: tables and figures of the report, for example those of a paper."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from pipelines.study.spec.common.basics import StrictModel, as_list, none_or_list, scalar_or_list_schema
from pipelines.study.spec.common.patterns import Names, Numbers, Pattern

Coordinate = Literal[
    "seeds",
    "set",
    "method",
    "evolver",
    "round",
    "teacher",
    "family",
    "decoding",
    "temperature",
    "top_p",
    "selection",
    "student",
    "recipe",
    "benchmark",
    "metric",
    "step",
]
"""What a number of the report is about. `family` is the teacher's, `step` that of an optimization of a method."""
COORDINATES: tuple[Coordinate, ...] = get_args(Coordinate)
Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[list[Text], BeforeValidator(as_list), Field(min_length=1, json_schema_extra=scalar_or_list_schema)]
Coordinates = Annotated[list[Coordinate], BeforeValidator(as_list), Field(json_schema_extra=scalar_or_list_schema)]


class NumberPattern(Pattern):
    """Some numbers of the report: coordinates of the grid as in `only`, and the metric."""

    family: Names = Field(default=[], description="families of teachers, as their models name them")
    step: Numbers = Field(default=[], description="steps of an optimization of a method; 0: its first method")
    metric: Texts = Field(
        default=[],
        description="names as in results.csv, or those of a data set's metrics (docs/scores.md); default: of each "
        "benchmark, the metrics with published numbers, or else its first",
    )


class Layout(StrictModel):
    """A table or figure of the report: which numbers it shows, and what its rows and columns are.

    It is presentation only: it changes no step.
    """

    name: str = Field(min_length=1, description="heading, such as 'Table 1'")
    caption: str = ""
    kind: Literal["table", "bars", "lines", "map", "stack"] = Field(
        default="table",
        description="'bars' and 'lines' have a place on the x axis for each row and a colour for each column; 'map' is "
        "a table shaded by value; 'stack' has a bar for each row, divided into the columns",
    )
    only: Annotated[list[NumberPattern], BeforeValidator(none_or_list)] = Field(
        default=[],
        json_schema_extra=scalar_or_list_schema,
        description="the numbers that match any of these patterns; default: the results of all benchmarks",
    )
    rows: Coordinates = Field(min_length=1)
    columns: Coordinates = Field(default=[])
    panels: Coordinates = Field(default=[], description="a table or drawing of its own for each of their values")

    @model_validator(mode="after")
    def _each_coordinate_once(self) -> Layout:
        named = [*self.rows, *self.columns, *self.panels]
        if twice := next((name for name in named if named.count(name) > 1), None):
            raise ValueError(f"'{twice}' is named twice among 'rows', 'columns' and 'panels'")
        if self.kind in ("bars", "lines", "stack") and len(self.columns) > 1:
            raise ValueError(f"'columns' of a layout of kind '{self.kind}' has one coordinate at most")
        return self
