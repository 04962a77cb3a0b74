"""Row counts of finished steps, and expected row counts of unfinished ones."""

from __future__ import annotations

from pipelines.store.probes import first_rows
from pipelines.store.store import Store
from pipelines.study.graph.steps.step import Step


class RowCounts:
    """Row counts of steps in a store; with `seeds`, of the rows of the first `seeds` seeds.

    The manifest of a finished step is read once, when its count is first needed.
    """

    def __init__(self, store: Store, seeds: int | None = None) -> None:
        self._store, self._seeds = store, seeds
        self._counts: dict[str, int] = {}  # by the keys of steps

    def of(self, step: Step) -> int:
        """Return the number of rows of a finished step."""
        if step.key not in self._counts:
            self._counts[step.key] = self._count(step)
        return self._counts[step.key]

    def expected(self, step: Step) -> int:
        """Return the number of rows of a row-wise step if no row is rejected before it."""
        if not step.params.row_wise:
            return self.of(step)
        return self.expected(step.inputs[0]) * step.params.rows_per_input

    def _count(self, step: Step) -> int:
        if self._seeds is None:
            return self._store.manifest(step.kind, step.key).account.rows_out
        return first_rows(self._store, step.kind, step.key, self._seeds, ["index"]).num_rows
