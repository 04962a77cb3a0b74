"""Row counts of a step: since the last report, and in total."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class StepProgress:
    """Row counts of a step since the last report. `request_seconds` is the sum over its requests."""

    rows: int
    rejected: int
    failed: int
    request_seconds: float


@dataclass(frozen=True)
class PartitionProgress:
    """What a worker reports about one partition of the rows of `source` (a step's key), by step key.

    `first` marks the first report of an attempt at the partition, which replaces those of an attempt whose worker was
    killed. `last` marks the report of a finished partition.
    """

    source: str
    partition: int
    steps: Mapping[str, StepProgress]
    first: bool = False
    last: bool = False


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

    def plus(self, more: StepProgress | StepTotal) -> StepTotal:
        """Return the total after adding `more`."""
        return StepTotal(
            self.rows + more.rows,
            self.rejected + more.rejected,
            self.failed + more.failed,
            self.request_seconds + more.request_seconds,
        )


class StreamTotals:
    """Totals by step key, from the reports of any number of workers. Each row counts once, however often it is made."""

    def __init__(self) -> None:
        self._of_finished: dict[str, StepTotal] = {}
        self._finished: set[tuple[str, int]] = set()
        self._open: dict[tuple[str, int], dict[str, StepTotal]] = {}

    def add(self, report: PartitionProgress) -> None:
        """Add a worker's report. Those of a repeated attempt at a finished partition are ignored."""
        partition = (report.source, report.partition)
        if partition in self._finished:
            return
        if report.first:
            self._open.pop(partition, None)
        counts = self._open.setdefault(partition, {})
        for key, more in report.steps.items():
            counts[key] = counts.get(key, StepTotal()).plus(more)
        if report.last:
            self._finished.add(partition)
            _add_all(self._of_finished, self._open.pop(partition))

    def by_step(self) -> dict[str, StepTotal]:
        """Return the totals by step key."""
        totals = dict(self._of_finished)
        for counts in self._open.values():
            _add_all(totals, counts)
        return totals


def _add_all(totals: dict[str, StepTotal], counts: Mapping[str, StepTotal]) -> None:
    for key, more in counts.items():
        totals[key] = totals.get(key, StepTotal()).plus(more)
