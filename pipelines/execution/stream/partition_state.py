"""What became of one unit's rows so far: earlier runs' are durable, this one's are made so at the end."""

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
    """Rows of one unit by step. Not thread-safe."""

    def __init__(
        self, store: Store, unit: int, steps: Sequence[StreamStep], outputs: Mapping[str, PartitionOutput]
    ) -> None:
        """`steps` are all unfinished ones of the stream, a source before what it feeds; `outputs` earlier ones by
        key."""
        self.store, self.partition, self.steps = store, unit, steps
        self.resumed_rows: dict[str, dict[str, Row]] = defaultdict(dict)  # what earlier runs made durable
        self.rows: dict[str, dict[str, Row]] = defaultdict(dict)
        self.unreported: dict[str, list[Row]] = defaultdict(list)  # not reported yet
        self.request_seconds: dict[str, float] = defaultdict(float)
        self._resume(outputs)
        self.resumed_progress = self.progress()

    def get(self, key: str, row_id: str) -> Row | None:
        """The row or the rejection with this id in the step `key`, if this unit already has it."""
        found = self.resumed_rows[key].get(row_id)
        if found is not None:
            self.rows[key][row_id] = found
        return found

    def add(self, key: str, row: Row, request_seconds: float) -> None:
        """Record what became of a row in the step `key`, after `request_seconds` seconds."""
        self.rows[key][row.id] = row
        self.unreported[key].append(row)
        self.request_seconds[key] += request_seconds

    def progress(self) -> Mapping[str, StepProgress]:
        """What was added since the last call, by step."""
        fresh, self.unreported = self.unreported, defaultdict(list)
        waited, self.request_seconds = self.request_seconds, defaultdict(float)
        return {key: _progress(rows, waited[key]) for key, rows in fresh.items()}

    def commit(self) -> None:
        """The unit is through: make its rows durable, unless they are; a source before what it feeds."""
        for step in self.steps:
            rows = self.rows[step.key]
            if rows.keys() != self.resumed_rows[step.key].keys():
                rejections = [row for row in rows.values() if isinstance(row, Rejection)]
                passed = [row for row in rows.values() if not isinstance(row, Rejection)]
                write_partition(self.store, step.kind, step.key, self.partition, PartitionRows(passed, rejections))
                hit("unit.part", step.key)

    def _resume(self, outputs: Mapping[str, PartitionOutput]) -> None:
        """Earlier runs' parts. One that is older than its source's, or can not be read, was made of other rows."""
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
