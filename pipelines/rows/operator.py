"""What a row-wise step does with one row. Operators travel to the workers; they hold clients, not models."""

from __future__ import annotations

from typing import Protocol

from pipelines.rows.types import Row


class Rejected(Exception):
    """The row is not passed on. `reason` is a short slug; `raw` is what the model said."""

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
