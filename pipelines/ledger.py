"""What one unit of the stream has done so far: durable parts of earlier runs, and new rows until they are flushed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipelines.rows import Rejection, Row
from pipelines.store.parts import Finished, read_parts, write_part
from pipelines.store.store import Store


@dataclass(frozen=True)
class Progress:
    """What was added to a step since the last report; `waited` sums the seconds that its requests took."""

    rows: int
    rejected: int
    failed: int
    waited: float


class Ledger:
    """Rows of one unit by step. Not thread-safe: `flush` is called from the event loop that adds rows."""

    def __init__(
        self, store: Store, unit: int, steps: Iterable[tuple[str, str]], parts: Mapping[str, Sequence[str]]
    ) -> None:
        """`steps` are (kind, key) of all unfinished steps of the stream, `parts` earlier runs' parts by key."""
        self.store, self.unit = store, unit
        self.kinds = {key: kind for kind, key in steps}
        self.known: dict[str, Row] = {}
        self.fresh: dict[str, list[Row]] = defaultdict(list)
        self.waited: dict[str, float] = defaultdict(float)
        self.resumed: dict[str, Progress] = {}  # what earlier runs left, by step
        for key, paths in parts.items():
            done = read_parts(store, self.kinds[key], paths)
            self.known |= {row.id: row for row in (*done.rows, *done.rejections)}
            self.resumed[key] = _progress(done.rows, done.rejections, 0.0)

    def get(self, row_id: str) -> Row | None:
        """The row or the rejection with this id, if this unit already has it."""
        return self.known.get(row_id)

    def add(self, key: str, row: Row, waited: float) -> None:
        """Record what became of a row in the step `key`, after `waited` seconds."""
        self.known[row.id] = row
        self.fresh[key].append(row)
        self.waited[key] += waited

    def flush(self) -> Mapping[str, Progress]:
        """Make all fresh rows durable, and say how many there were by step."""
        fresh, self.fresh = self.fresh, defaultdict(list)
        waited, self.waited = self.waited, defaultdict(float)
        return {key: self._write(key, rows, waited[key]) for key, rows in fresh.items()}

    def _write(self, key: str, rows: list[Row], waited: float) -> Progress:
        rejections = [row for row in rows if isinstance(row, Rejection)]
        passed = [row for row in rows if not isinstance(row, Rejection)]
        write_part(self.store, self.kinds[key], key, self.unit, Finished(passed, rejections))
        return _progress(passed, rejections, waited)


def _progress(rows: list[Row], rejections: list[Rejection], waited: float) -> Progress:
    failed = sum(row.status == "failed" for row in rejections)
    return Progress(len(rows), len(rejections) - failed, failed, waited)
