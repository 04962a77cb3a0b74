"""The interface of row-wise steps. Operators are sent to workers, so they hold clients and not models."""

from __future__ import annotations

from typing import Protocol, TypeVar

from pipelines.rows.types import Row

RowIn = TypeVar("RowIn", bound=Row, contravariant=True)
RowOut = TypeVar("RowOut", bound=Row, covariant=True)


class Rejected(Exception):
    """The row is not passed on. `reason` is a short slug, `raw` the model's reply."""

    def __init__(self, reason: str, detail: str = "", raw: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail, self.raw = reason, detail, raw


class Operator(Protocol[RowIn, RowOut]):
    """One row in, one row out, or Rejected. A RequestError of the engine counts as a failure of the row."""

    async def __call__(self, row: RowIn, new_id: str) -> RowOut:
        """The row that this step makes of `row`, with the id `new_id`."""
        ...


NOT_EVOLVED = "not_evolved"
EMPTY = "empty"
