"""Traces a row back to its seed, by the parent's id in each row and the inputs of each step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow.compute as pc

from pipelines.errors import InputError
from pipelines.rows.arrow import from_table
from pipelines.rows.kinds import ROW_TYPES
from pipelines.rows.types import MethodRow, Rejection, Row
from pipelines.store.store import Store
from pipelines.study.graph.steps.grid import Grid
from pipelines.study.graph.steps.params.answers import UnionParams
from pipelines.study.graph.steps.step import Step

ROW_FILES = ("rows", "rejected")
MAX_MATCHES_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Link:
    """A row or a rejection, the step that wrote it, and the optimized method that the step used, if any."""

    step: Step
    row: Row
    method: MethodRow | None = None


class Lineage:
    """The rows of a study's finished steps."""

    def __init__(self, store: Store, grid: Grid) -> None:
        done = store.finished_keys()
        self.store = store
        own_rows = [step for step in grid.steps.values() if not isinstance(step.params, UnionParams)]
        self.steps = [step for step in own_rows if step.key in done and step.kind in ROW_TYPES]
        self.unfinished = sum(step.kind in ROW_TYPES for step in own_rows) - len(self.steps)

    def find(self, prefix: str) -> Link:
        """Return the row whose id starts with `prefix`.

        Raises:
            InputError: There is no such row, or more than one.
        """
        found = [(step, file, row) for step in self.steps for file, row in self.ids(step, prefix)]
        if not found:
            raise InputError(
                f"no row id starts with '{prefix}' in the finished steps of this study",
                remedy="Run without --row to list ids to start from"
                + (f"; {self.unfinished} steps are not finished yet." if self.unfinished else "."),
            )
        if len(found) > 1:
            shown = ", ".join(f"{row[: len(prefix) + 6]} ({step.label})" for step, _, row in found[:MAX_MATCHES_SHOWN])
            more = f" and {len(found) - MAX_MATCHES_SHOWN} more" if len(found) > MAX_MATCHES_SHOWN else ""
            raise InputError(
                f"{len(found)} rows have an id that starts with '{prefix}': {shown}{more}. Give a longer prefix"
            )
        step, file, row = found[0]
        return self.link(step, file, row)

    def chain(self, prefix: str) -> list[Link]:
        """Return the links from the seed down to the row whose id starts with `prefix`.

        Raises:
            InputError: There is no such row, or more than one.
        """
        links = [self.find(prefix)]
        while parent := self.parent(links[-1]):
            links.append(parent)
        return links[::-1]

    def parent(self, link: Link) -> Link | None:
        """Return the link of a row's parent; None for a seed, or if the row has no parent row."""
        for step in (link.step, *_sources(link.step)) if link.row.parent_id else ():
            if step in self.steps and link.row.parent_id in self.ids_of(step):
                return self.link(step, "rows", link.row.parent_id)
        return None

    def link(self, step: Step, file: str, row: str) -> Link:
        """Return the link of a row with this full id."""
        table = self.store.rows(step.kind, step.key, file)
        row_type = Rejection if file == "rejected" else ROW_TYPES[step.kind]
        return Link(step, from_table(row_type, table.filter(pc.field("id") == row))[0], self.method(step))

    def method(self, step: Step) -> MethodRow | None:
        """Return the optimized method that a step evolves with, or None."""
        for source in step.inputs if step.kind == "evolve" else ():
            if source.kind == "optimize":
                table = self.store.rows(source.kind, source.key)
                return from_table(MethodRow, table.filter(pc.field("best")))[0]
        return None

    def ids(self, step: Step, prefix: str) -> Iterator[tuple[str, str]]:
        """Yield (file, id) for each row of a step whose id starts with `prefix`."""
        for file in ROW_FILES:
            yield from ((file, row) for row in self.ids_of(step, file) if row.startswith(prefix))

    def ids_of(self, step: Step, file: str = "rows") -> list[str]:
        """Return all ids in one of a step's files, in file order."""
        return self.store.rows(step.kind, step.key, file, columns=["id"]).column("id").to_pylist()


def _sources(step: Step) -> Iterator[Step]:
    """Yield the inputs of a step; of a union, which has the rows of its parts, the parts."""
    for source in step.inputs:
        if isinstance(source.params, UnionParams):
            yield from _sources(source)
        else:
            yield source
