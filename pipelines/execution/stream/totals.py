"""Row counts of a step: since the last report, and in total."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StepProgress:
    """Row counts of a step since the last report. `request_seconds` is the sum over its requests."""

    rows: int
    rejected: int
    failed: int
    request_seconds: float


@dataclass(frozen=True)
class StepTotal:
    """Row counts of a step so far. `request_seconds` is the sum over its requests."""

    rows: int = 0
    rejected: int = 0
    failed: int = 0
    request_seconds: float = 0.0

    @property
    def done(self) -> int:
        """The number of processed rows, whatever the outcome."""
        return self.rows + self.rejected + self.failed

    def plus(self, more: StepProgress) -> StepTotal:
        """Return the total after adding `more`."""
        return StepTotal(
            self.rows + more.rows,
            self.rejected + more.rejected,
            self.failed + more.failed,
            self.request_seconds + more.request_seconds,
        )
