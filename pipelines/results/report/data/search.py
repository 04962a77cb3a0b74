"""What a search of the study has trained and skipped, at which risk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from pipelines.store.studies.graph_record import SearchNode
from pipelines.study.graph.steps.grid import Grid
from pipelines.study.search_grid import search_grid
from pipelines.study.spec.study import Study

CellState = Literal["trained", "training", "skipped", "failed"]
RungState = Literal["trusted", "not trusted", "not measured"]


class SearchedCell(NamedTuple):
    """A student and an arm. `score` is measured on a trained cell, `expected` is the model's for a skipped one.

    `risk` is the probability that a skipped arm is better than the student's best by more than epsilon. `partial` are
    the scores of its partial trainings, for each rung of the search; None where there is none.
    """

    student: str
    arm: str
    state: CellState
    score: float | None = None
    expected: float | None = None
    risk: float | None = None
    partial: tuple[float | None, ...] = ()


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


class RungSummary(NamedTuple):
    """The partial trainings on a share of the rows: how many are finished, and whether their scores are trusted.

    `rho` is their rank correlation with full trainings on `cells` cells, of which `trust` was needed; None if it is not
    measured, or all scores are equal.
    """

    share: float
    state: RungState
    trained: int
    trust: float
    cells: int = 0
    rho: float | None = None

    @property
    def percent(self) -> str:
        """The share as text."""
        return f"{100 * self.share:.4g} %"


class SearchStep(NamedTuple):
    """A decision: its number, its reason, the cells to train, and the risk of each group of students before it.

    `rungs` says of the shares of the rows that were measured before it whether they are trusted, as text.
    """

    number: int
    reason: str
    cells: tuple[str, ...]
    risks: tuple[tuple[str, float], ...]
    rungs: tuple[str, ...] = ()


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
    rungs: tuple[RungSummary, ...] = ()

    @property
    def partial_cost(self) -> float:
        """How many full trainings the partial ones count as: each as its share of the rows."""
        return sum(rung.share * rung.trained for rung in self.rungs)

    def of_state(self, state: CellState) -> tuple[SearchedCell, ...]:
        """Return the cells of a state."""
        return tuple(cell for cell in self.cells if cell.state == state)


def search_node(study: Study, grid: Grid) -> SearchNode | None:
    """Return the settings and the cells of a study's search; None if it has none, or no evaluated trainings."""
    searched = search_grid(study, grid)
    if searched is None:
        return None
    rungs = searched.settings.rungs
    return SearchNode(
        digest=searched.digest,
        over=tuple(searched.search.over),
        epsilon=searched.search.epsilon,
        risk=searched.search.risk,
        better=searched.search.better,
        shares=rungs.shares,
        trust=rungs.trust,
        cells=searched.space.cells,
    )
