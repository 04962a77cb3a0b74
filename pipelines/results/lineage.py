"""Traces a row back to its seed, by the parent's id in each row and the inputs of each step."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.errors import InputError
from pipelines.rows.arrow import from_table
from pipelines.rows.kinds import ROW_TYPES
from pipelines.rows.types import MethodRow, Rejection, Row
from pipelines.store.partitions import partition_of
from pipelines.store.shards import read_partition_table
from pipelines.store.store import Store

ROW_FILES = ("rows", "rejected")
MAX_MATCHES_SHOWN = 8


class LineageStep(Protocol):
    """What lineage needs of a step: a `Step`, or one of a saved graph. One that `unites` has the rows of its inputs."""

    @property
    def key(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def inputs(self) -> Sequence[Any]: ...
    @property
    def unites(self) -> bool: ...


S = TypeVar("S", bound=LineageStep)
S_co = TypeVar("S_co", bound=LineageStep, covariant=True)


class StepsByKey(Protocol[S_co]):
    """A graph of steps: a `Grid`, or a saved one."""

    @property
    def steps(self) -> Mapping[str, S_co]: ...


@dataclass(frozen=True, slots=True)
class Link(Generic[S]):
    """A row or a rejection, the step that wrote it, and the optimized method that the step used, if any."""

    step: S
    row: Row
    method: MethodRow | None = None


class Lineage(Generic[S]):
    """The rows of a study's finished steps."""

    def __init__(self, store: Store, grid: StepsByKey[S]) -> None:
        done = store.finished_keys()
        self.store = store
        own_rows = [step for step in grid.steps.values() if not step.unites]
        self.steps = [step for step in own_rows if step.key in done and step.kind in ROW_TYPES]
        self.unfinished = sum(step.kind in ROW_TYPES for step in own_rows) - len(self.steps)
        self._keys = {step.key for step in self.steps}

    def find(self, prefix: str) -> Link[S]:
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

    def chain(self, prefix: str) -> list[Link[S]]:
        """Return the links from the seed down to the row whose id starts with `prefix`.

        Raises:
            InputError: There is no such row, or more than one.
        """
        return self.chain_to(self.find(prefix))

    def chain_to(self, link: Link[S]) -> list[Link[S]]:
        """Return the links from the seed down to this one."""
        links = [link]
        while parent := self.parent(links[-1]):
            links.append(parent)
        return links[::-1]

    def parent(self, link: Link[S]) -> Link[S] | None:
        """Return the link of a row's parent; None for a seed, or if the row has no parent row."""
        for step in (link.step, *_sources(link.step)) if link.row.parent_id else ():
            if step.key in self._keys and (row := self._parent_row(step, link.row)):
                return Link(step, row, self.method(step))
        return None

    def link(self, step: S, file: str, row: str) -> Link[S]:
        """Return the link of a row with this full id.

        Raises:
            InputError: The step has no such row.
        """
        if found := self._search(step, file, row):
            return Link(step, found, self.method(step))
        raise InputError(f"{step.label} has no row with the id '{row}'")

    def method(self, step: S) -> MethodRow | None:
        """Return the optimized method that a step evolves with, or None."""
        for source in step.inputs if step.kind == "evolve" else ():
            if source.kind == "optimize":
                table = self.store.rows(source.kind, source.key)
                return from_table(MethodRow, table.filter(pc.field("best")))[0]
        return None

    def ids(self, step: S, prefix: str) -> Iterator[tuple[str, str]]:
        """Yield (file, id) for each row of a step whose id starts with `prefix`."""
        for file in ROW_FILES:
            yield from ((file, row) for row in self.ids_of(step, file) if row.startswith(prefix))

    def ids_of(self, step: S, file: str = "rows") -> list[str]:
        """Return all ids in one of a step's files, in file order."""
        return self.store.rows(step.kind, step.key, file, columns=["id"]).column("id").to_pylist()

    def _parent_row(self, step: S, row: Row) -> Row | None:
        """Return a step's row that is the parent of `row`: usually in the partition of the same seed."""
        partition = read_partition_table(self.store.url, step.kind, step.key, partition_of(row.index))
        near = _row_of(ROW_TYPES[step.kind], partition, row.parent_id)
        return near or self._search(step, "rows", row.parent_id)

    def _search(self, step: S, file: str, row: str) -> Row | None:
        """Return a row by its id, or None. Only the shard that has it is read in full."""
        folder, wanted = self.store.folder(step.kind, step.key), pc.field("id") == row
        row_type = Rejection if file == "rejected" else ROW_TYPES[step.kind]
        for shard in self.store.manifest(step.kind, step.key).shards:
            path = posixpath.join(folder, shard.file)
            if shard.file.startswith(file) and self.store.read_table(path, ["id"]).filter(wanted).num_rows:
                return _row_of(row_type, self.store.read_table(path), row)
        return None


def _row_of(row_type: type[Row], table: pa.Table, row: str) -> Row | None:
    return next(iter(from_table(row_type, table.filter(pc.field("id") == row))), None)


def _sources(step: LineageStep) -> Iterator[Any]:
    """Yield the inputs of a step; of a step that unites others, which has their rows, those."""
    for source in step.inputs:
        if source.unites:
            yield from _sources(source)
        else:
            yield source
