"""The tree of steps that the rows of a seed file pass through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipelines.rows.operator import Operator


@dataclass(frozen=True)
class StreamStep:
    """An unfinished step of the stream; `source` is the key of the step whose rows it takes."""

    kind: str
    key: str
    source: str


@dataclass(frozen=True)
class StepNode:
    """An unfinished row-wise step, and those that continue from its rows. It makes `rows_per_input` rows of each."""

    kind: str
    key: str
    operator: Operator[Any, Any]
    children: tuple[StepNode, ...]
    rows_per_input: int = 1

    def stream_steps(self, source: str) -> Iterator[StreamStep]:
        """This branch, which takes the rows of `source`, and then all below it."""
        yield StreamStep(self.kind, self.key, source)
        for child in self.children:
            yield from child.stream_steps(self.key)


@dataclass(frozen=True)
class TreeRoot:
    """A finished step whose rows enter the stream, and the unfinished steps that start from them."""

    kind: str
    key: str
    children: tuple[StepNode, ...]
