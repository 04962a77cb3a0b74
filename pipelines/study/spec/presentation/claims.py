"""The `claims` block of a study file: what is claimed of its numbers, to be tested in the report."""

from __future__ import annotations

from itertools import zip_longest
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from pipelines.study.spec.common.basics import StrictModel, none_or_list, scalar_or_list_schema
from pipelines.study.spec.presentation.layouts import Coordinates, NumberPattern

Patterns = Annotated[list[NumberPattern], BeforeValidator(none_or_list), Field(json_schema_extra=scalar_or_list_schema)]


class Claim(StrictModel):
    """A claim that some numbers (`left`) are higher than others (`right`), tested on pairs of numbers.

    Where a coordinate has several values on both sides, the first of `left` is compared with the first of `right`, and
    so on. It is presentation only: it changes no step.
    """

    claim: str = Field(min_length=1, description="a sentence")
    paper: str = Field(default="", description="where it is claimed, such as '2412.11231, section 3.2'")
    left: NumberPattern
    right: NumberPattern
    only: Patterns = Field(default=[], description="the numbers of both sides match any of these patterns")
    over: Coordinates = Field(
        default=[],
        description="coordinates in which the two numbers of a pair are equal; default: all that 'left' and 'right' "
        "do not name",
    )
    test: Literal["mean", "any"] = Field(
        default="mean",
        description="'mean': the mean difference over all pairs is positive; 'any': that of at least one of the "
        "comparisons is, after Bonferroni's correction for their number",
    )

    @model_validator(mode="after")
    def _sides_fit(self) -> Claim:
        left, right = (self._length(side) for side in (self.left, self.right))
        if 1 not in (left, right) and left != right:
            raise ValueError(f"'left' has {left} values of a coordinate and 'right' {right}: give as many, or one")
        if self.left == self.right:
            raise ValueError("'left' and 'right' are the same")
        return self

    @property
    def sides(self) -> list[tuple[NumberPattern, NumberPattern]]:
        """The comparisons: the pattern of the higher numbers, and that of the others."""
        left, right = _single_valued(self.left), _single_valued(self.right)
        one = left[0] if len(left) == 1 else right[0]
        return [*zip_longest(left, right, fillvalue=one)]

    @property
    def named(self) -> set[str]:
        """The coordinates that either side names."""
        return {*self.left.coordinates, *self.right.coordinates}

    def _length(self, side: NumberPattern) -> int:
        lengths = {len(values) for values in side.coordinates.values()} - {1}
        if len(lengths) > 1:
            raise ValueError("the coordinates of a side have different numbers of values: give as many, or one")
        return next(iter(lengths), 1)


def _single_valued(side: NumberPattern) -> list[NumberPattern]:
    """Return a pattern with one value of each coordinate for each place in their lists."""
    named = side.coordinates
    count = max(len(values) for values in named.values())
    return [
        side.model_copy(update={name: [values[min(place, len(values) - 1)]] for name, values in named.items()})
        for place in range(count)
    ]
