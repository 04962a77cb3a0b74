"""What a search of the study has trained and skipped, at which risk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

CellState = Literal["trained", "training", "skipped", "failed"]


class SearchedCell(NamedTuple):
    """A student and an arm. `score` is measured on a trained cell, `expected` is the model's for a skipped one.

    `risk` is the probability that a skipped arm is better than the student's best by more than epsilon.
    """

    student: str
    arm: str
    state: CellState
    score: float | None = None
    expected: float | None = None
    risk: float | None = None


class SearchGroup(NamedTuple):
    """Students that are decided together: the risk that a skipped arm is better, and the arms that may be the best.

    `inseparable` are the best arm and those that the paired test does not separate from it, empty before the end.
    """

    students: tuple[str, ...]
    risk: float
    best: str
    inseparable: tuple[str, ...]


class PriorQuality(NamedTuple):
    """Spearman's rank correlation of a prior with the scores of a student's trained cells; None below three cells."""

    prior: str
    student: str
    cells: int
    rho: float | None


class SearchStep(NamedTuple):
    """A decision: its number, its reason, the cells to train, and the risk of each group of students before it."""

    number: int
    reason: str
    cells: tuple[str, ...]
    risks: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class SearchSummary:
    """A search so far. `finished` says whether it has stopped; `risk` and `epsilon` are those of the study file."""

    over: tuple[str, ...]
    epsilon: float
    risk: float
    finished: bool
    cells: tuple[SearchedCell, ...]
    groups: tuple[SearchGroup, ...]
    priors: tuple[PriorQuality, ...]
    decisions: tuple[SearchStep, ...]

    def of_state(self, state: CellState) -> tuple[SearchedCell, ...]:
        """Return the cells of a state."""
        return tuple(cell for cell in self.cells if cell.state == state)
