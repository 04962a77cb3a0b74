"""The rows of one partition so far: those of earlier runs are durable, those of this run are written at the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from cluster.fault_points import hit
from pipelines.execution.stream.totals import StepProgress
from pipelines.execution.stream.tree import StreamStep
from pipelines.rows.types import Rejection, Row
from pipelines.store.errors import CorruptStore
from pipelines.store.partitions import PartitionOutput, PartitionRows, read_partition, write_partition
from pipelines.store.store import Store


class PartitionState:
    """Rows of one partition by step. Not thread-safe."""

    def __init__(
        self, store: Store, unit: int, steps: Sequence[StreamStep], outputs: Mapping[str, PartitionOutput]
    ) -> None:
        """Resume from the rows of earlier runs.

        Args:
            steps: All unfinished steps of the stream; a step comes after its source.
            outputs: The partition's outputs of earlier runs, by step key.
        """
        self.store, self.partition, self.steps = store, unit, steps
        self.resumed_rows: dict[str, dict[str, Row]] = defaultdict(dict)  # rows of earlier runs
        self.rows: dict[str, dict[str, Row]] = defaultdict(dict)
        self.unreported: dict[str, list[Row]] = defaultdict(list)  # rows that `progress` has not returned yet
        self.request_seconds: dict[str, float] = defaultdict(float)
        self._resume(outputs)

    def get(self, key: str, row_id: str) -> Row | None:
        """Return the row or rejection with this id in the step `key`, or None if an earlier run did not make it.

        A row that is returned becomes a row of this run.
        """
        found = self.resumed_rows[key].get(row_id)
        if found is not None:
            self.rows[key][row_id] = found
        return found

    def add(self, key: str, row: Row, request_seconds: float) -> None:
        """Add a row or rejection of the step `key`, which took `request_seconds`."""
        self.rows[key][row.id] = row
        self.unreported[key].append(row)
        self.request_seconds[key] += request_seconds

    def progress(self) -> Mapping[str, StepProgress]:
        """Return the progress since the last call, by step key."""
        fresh, self.unreported = self.unreported, defaultdict(list)
        waited, self.request_seconds = self.request_seconds, defaultdict(float)
        return {key: _progress(rows, waited[key]) for key, rows in fresh.items()}

    def counts(self) -> list[tuple[str, int]]:
        """Return the number of rows and rejections by step key; a step comes after its source."""
        return [(step.key, len(self.rows[step.key])) for step in self.steps]

    def commit(self) -> None:
        """Write the rows of the finished partition, except for steps without new rows.

        A source is written before its dependents.
        """
        for step in self.steps:
            rows = self.rows[step.key]
            if rows.keys() != self.resumed_rows[step.key].keys():
                rejections = [row for row in rows.values() if isinstance(row, Rejection)]
                passed = [row for row in rows.values() if not isinstance(row, Rejection)]
                write_partition(self.store, step.kind, step.key, self.partition, PartitionRows(passed, rejections))
                hit("unit.part", step.key)

    def _resume(self, outputs: Mapping[str, PartitionOutput]) -> None:
        """Load the outputs of earlier runs. Skip an output that is corrupt, or stale because its source's is newer."""
        sources = {step.key for step in self.steps}
        epoch_of: dict[str, int] = {}
        for step in self.steps:
            part, made_of = outputs.get(step.key), epoch_of.get(step.source, -1 if step.source not in sources else None)
            if part is None or made_of is None or part.epoch < made_of:
                continue
            try:
                done = read_partition(self.store, step.kind, part)
            except CorruptStore:
                continue
            epoch_of[step.key] = part.epoch
            self.unreported[step.key] = [*done.rows, *done.rejections]
            self.resumed_rows[step.key] = {row.id: row for row in self.unreported[step.key]}


def _progress(rows: Sequence[Row], request_seconds: float) -> StepProgress:
    failed = sum(isinstance(row, Rejection) and row.status == "failed" for row in rows)
    rejected = sum(isinstance(row, Rejection) for row in rows) - failed
    return StepProgress(len(rows) - rejected - failed, rejected, failed, request_seconds)
