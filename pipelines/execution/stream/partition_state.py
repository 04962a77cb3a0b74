"""What became of one unit's rows so far: earlier runs' are durable, this one's are made so at the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from cluster.fault_points import reached
from pipelines.execution.stream.totals import Progress
from pipelines.execution.stream.tree import Walked
from pipelines.rows.types import Rejection, Row
from pipelines.store.errors import Spoilt
from pipelines.store.partitions import Finished, Part, read_part, write_part
from pipelines.store.store import Store


class Ledger:
    """Rows of one unit by step. Not thread-safe."""

    def __init__(self, store: Store, unit: int, steps: Sequence[Walked], parts: Mapping[str, Part]) -> None:
        """`steps` are all unfinished ones of the stream, a source before what it feeds; `parts` earlier ones by key."""
        self.store, self.unit, self.steps = store, unit, steps
        self.known: dict[str, dict[str, Row]] = defaultdict(dict)  # what earlier runs made durable
        self.walked: dict[str, dict[str, Row]] = defaultdict(dict)
        self.fresh: dict[str, list[Row]] = defaultdict(list)  # not reported yet
        self.waited: dict[str, float] = defaultdict(float)
        self._take_over(parts)
        self.resumed = self.progress()

    def get(self, key: str, row_id: str) -> Row | None:
        """The row or the rejection with this id in the step `key`, if this unit already has it."""
        found = self.known[key].get(row_id)
        if found is not None:
            self.walked[key][row_id] = found
        return found

    def add(self, key: str, row: Row, waited: float) -> None:
        """Record what became of a row in the step `key`, after `waited` seconds."""
        self.walked[key][row.id] = row
        self.fresh[key].append(row)
        self.waited[key] += waited

    def progress(self) -> Mapping[str, Progress]:
        """What was added since the last call, by step."""
        fresh, self.fresh = self.fresh, defaultdict(list)
        waited, self.waited = self.waited, defaultdict(float)
        return {key: _progress(rows, waited[key]) for key, rows in fresh.items()}

    def seal(self) -> None:
        """The unit is through: make its rows durable, unless they are; a source before what it feeds."""
        for step in self.steps:
            rows = self.walked[step.key]
            if rows.keys() != self.known[step.key].keys():
                rejections = [row for row in rows.values() if isinstance(row, Rejection)]
                passed = [row for row in rows.values() if not isinstance(row, Rejection)]
                write_part(self.store, step.kind, step.key, self.unit, Finished(passed, rejections))
                reached("unit.part", step.key)

    def _take_over(self, parts: Mapping[str, Part]) -> None:
        """Earlier runs' parts. One that is older than its source's, or can not be read, was made of other rows."""
        sources = {step.key for step in self.steps}
        taken: dict[str, int] = {}
        for step in self.steps:
            part, made_of = parts.get(step.key), taken.get(step.source, -1 if step.source not in sources else None)
            if part is None or made_of is None or part.epoch < made_of:
                continue
            try:
                done = read_part(self.store, step.kind, part)
            except Spoilt:
                continue
            taken[step.key] = part.epoch
            self.fresh[step.key] = [*done.rows, *done.rejections]
            self.known[step.key] = {row.id: row for row in self.fresh[step.key]}


def _progress(rows: Sequence[Row], waited: float) -> Progress:
    failed = sum(isinstance(row, Rejection) and row.status == "failed" for row in rows)
    rejected = sum(isinstance(row, Rejection) for row in rows) - failed
    return Progress(len(rows) - rejected - failed, rejected, failed, waited)
