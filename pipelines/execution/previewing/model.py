"""What a preview has found: a tree of rows for each seed, and what the whole run would need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.rows.types import InstructionRow, Rejection, ResponseRow, Row
from pipelines.study.graph.steps.step import Step


@dataclass(frozen=True, slots=True)
class PreviewNode:
    """The row or rejection that a step made from its parent's row, and the nodes made from it.

    `tokens_in` and `tokens_out` are those of the step's requests, `dollars` their price; None if it is not known.
    """

    step: Step
    row: Row
    tokens_in: int
    tokens_out: int
    dollars: float | None
    children: tuple[PreviewNode, ...] = ()

    def walk(self) -> Iterator[PreviewNode]:
        """Yield this node and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()

    @property
    def rejection(self) -> Rejection | None:
        """The reason for which there is no row; None if there is one."""
        return self.row if isinstance(self.row, Rejection) else None


@dataclass(frozen=True, slots=True)
class ModelEstimate:
    """What the whole run is expected to ask of a model. `dollars` is None for a model without a price."""

    model: str
    requests: int
    tokens_in: int
    tokens_out: int
    dollars: float | None


@dataclass(frozen=True, slots=True)
class Preview:
    """A preview of a study.

    Attributes:
        study: The study's name.
        seeds: One tree for each previewed seed.
        not_shown: The labels of the row-wise steps that need a whole set before they can start.
        whole: What the whole run is expected to ask of each model, from these rows.
        total_seeds: The number of the study's seeds.
        planned_seconds: The estimated wall time of the whole run; None if it is not known.
        seconds: The time that the preview has taken.
        asked: The number of requests that the preview has sent.
        reused: The number of requests that were answered before.
    """

    study: str
    seeds: tuple[PreviewNode, ...]
    not_shown: tuple[str, ...]
    whole: tuple[ModelEstimate, ...]
    total_seeds: int
    planned_seconds: float | None
    seconds: float
    asked: int
    reused: int

    def nodes(self) -> Iterator[PreviewNode]:
        """Yield all nodes but the seeds."""
        for seed in self.seeds:
            for node in seed.walk():
                if node is not seed:
                    yield node

    def rejections(self) -> list[PreviewNode]:
        """Return the nodes without a row."""
        return [node for node in self.nodes() if node.rejection]

    def answers(self) -> list[ResponseRow]:
        """Return all answers."""
        return [node.row for node in self.nodes() if isinstance(node.row, ResponseRow)]

    def instructions(self) -> list[InstructionRow]:
        """Return all evolved instructions."""
        return [node.row for node in self.nodes() if isinstance(node.row, InstructionRow)]
