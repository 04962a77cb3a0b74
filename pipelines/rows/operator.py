"""The interface of row-wise steps. Operators are sent to workers, so they hold clients and not models."""

from __future__ import annotations

from typing import Protocol

from pipelines.rows.types import Row


class Rejected(Exception):
    """The row is not passed on. `reason` is a short slug, `raw` the model's reply."""

    def __init__(self, reason: str, detail: str = "", raw: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail, self.raw = reason, detail, raw


class Operator(Protocol):
    """One row in, one row out, or Rejected. A RequestError of the engine counts as a failure of the row."""

    async def __call__(self, row: Row, new_id: str) -> Row:
        """The row that this step makes of `row`, with the id `new_id`."""
        ...


NOT_EVOLVED = "not_evolved"
EMPTY = "empty"
