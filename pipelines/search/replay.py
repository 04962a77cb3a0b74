"""Runs a search on cells whose scores are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipelines.search.risk import GroupRisk
from pipelines.search.rungs import Verdict, next_step
from pipelines.search.space import Cell, Evidence, SearchSettings, SearchSpace

Score = Callable[[Cell], float]
PartialScore = Callable[[Cell, float], float]


@dataclass(frozen=True, slots=True)
class Replay:
    """The measured scores in the order of the trainings, and the state in which the search stopped.

    `partial` has the scores of partial trainings by share, and `verdicts` which shares were trusted.
    """

    scores: dict[Cell, float]
    groups: tuple[GroupRisk, ...]
    partial: dict[float, dict[Cell, float]]
    verdicts: tuple[Verdict, ...]

    @property
    def cost(self) -> float:
        """The number of trainings; a partial one counts as its share of the rows."""
        return len(self.scores) + sum(share * len(found) for share, found in self.partial.items())


def replay(
    space: SearchSpace, settings: SearchSettings, score: Score, room: int = 1, partial_score: PartialScore | None = None
) -> Replay:
    """Search to the end: `score` is asked for each cell that is trained. `room` cells at a time are trained.

    `partial_score` is asked for the score of a cell that is trained on a share of its rows; needed with rungs.
    """
    scores, partial, verdicts = dict[Cell, float](), dict[float, dict[Cell, float]](), tuple[Verdict, ...]()
    while True:
        found = next_step(space, Evidence(scores, partial=partial), settings, room, verdicts)
        verdicts, cells = found.verdicts, found.decision.cells
        if not cells:
            return Replay(scores, found.decision.groups, partial, verdicts)
        if found.decision.reason == "rung":
            assert partial_score
            partial.setdefault(found.share, {}).update({cell: partial_score(cell, found.share) for cell in cells})
        else:
            scores |= {cell: score(cell) for cell in cells}
