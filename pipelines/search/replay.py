"""Runs a search on cells whose scores are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipelines.search.decide import next_cells
from pipelines.search.risk import GroupRisk
from pipelines.search.space import Cell, Evidence, SearchSettings, SearchSpace


@dataclass(frozen=True, slots=True)
class Replay:
    """The measured scores in the order of the trainings, and the state in which the search stopped."""

    scores: dict[Cell, float]
    groups: tuple[GroupRisk, ...]


def replay(space: SearchSpace, settings: SearchSettings, score: Callable[[Cell], float], room: int = 1) -> Replay:
    """Search to the end: `score` is asked for each cell that is trained. `room` cells at a time are trained."""
    scores = dict[Cell, float]()
    while True:
        decision = next_cells(space, Evidence(scores), settings, room)
        if not decision.cells:
            return Replay(scores, decision.groups)
        scores |= {cell: score(cell) for cell in decision.cells}
