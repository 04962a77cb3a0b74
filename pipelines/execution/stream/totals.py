"""What became of the rows of a step, between two reports and in all."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StepProgress:
    """What was added to a step since the last report; `request_seconds` sums the seconds that its requests took."""

    rows: int
    rejected: int
    failed: int
    request_seconds: float


@dataclass(frozen=True)
class StepTotal:
    """What became of a step's rows so far; `request_seconds` sums the seconds that its requests took."""

    rows: int = 0
    rejected: int = 0
    failed: int = 0
    request_seconds: float = 0.0

    @property
    def done(self) -> int:
        """Rows that went through the step, whatever came out."""
        return self.rows + self.rejected + self.failed

    def plus(self, more: StepProgress) -> StepTotal:
        """The total with what was added."""
        return StepTotal(
            self.rows + more.rows,
            self.rejected + more.rejected,
            self.failed + more.failed,
            self.request_seconds + more.request_seconds,
        )
