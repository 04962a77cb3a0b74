"""What became of the rows of a step, between two reports and in all."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """What was added to a step since the last report; `waited` sums the seconds that its requests took."""

    rows: int
    rejected: int
    failed: int
    waited: float


@dataclass(frozen=True)
class Total:
    """What became of a step's rows so far; `waited` sums the seconds that its requests took."""

    rows: int = 0
    rejected: int = 0
    failed: int = 0
    waited: float = 0.0

    @property
    def done(self) -> int:
        """Rows that went through the step, whatever came out."""
        return self.rows + self.rejected + self.failed

    def plus(self, more: Progress) -> Total:
        """The total with what was added."""
        return Total(
            self.rows + more.rows,
            self.rejected + more.rejected,
            self.failed + more.failed,
            self.waited + more.waited,
        )
