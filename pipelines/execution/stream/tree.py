"""The tree of steps that the rows of a seed file pass through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipelines.rows.operator import Operator
from pipelines.store.partitions import PARTITION_ROWS


@dataclass(frozen=True)
class StreamStep:
    """An unfinished step of the stream. `source` is the key of the step whose rows it processes."""

    kind: str
    key: str
    source: str


@dataclass(frozen=True)
class StepNode:
    """An unfinished row-wise step, which makes `rows_per_input` rows from each row, and the steps that follow it."""

    kind: str
    key: str
    operator: Operator[Any, Any]
    children: tuple[StepNode, ...]
    rows_per_input: int = 1

    def stream_steps(self, source: str) -> Iterator[StreamStep]:
        """Yield this step, which processes the rows of `source`, and then all steps below it."""
        yield StreamStep(self.kind, self.key, source)
        for child in self.children:
            yield from child.stream_steps(self.key)


@dataclass(frozen=True)
class TreeRoot:
    """A finished step whose rows enter the stream, and the unfinished steps that start from them.

    With `seeds`, only rows of the first `seeds` seeds enter: those with a smaller index.
    """

    kind: str
    key: str
    children: tuple[StepNode, ...]
    seeds: int | None = None

    def stream_steps(self) -> tuple[StreamStep, ...]:
        """Return all steps of the tree; a step comes after its source."""
        return tuple(step for child in self.children for step in child.stream_steps(self.key))

    def covers(self, partition: int) -> bool:
        """Return whether all rows of a partition enter the stream."""
        return self.seeds is None or (partition + 1) * PARTITION_ROWS <= self.seeds
