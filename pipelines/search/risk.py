"""The risk of stopping: how probably an untrained arm is better than the best trained one by more than epsilon."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from pipelines.search.model import Fit, fit
from pipelines.search.ranks import Floats
from pipelines.search.space import Cell, Evidence, SearchSettings, SearchSpace
from pipelines.search.utility import margin, to_score, utilities


@dataclass(frozen=True, slots=True)
class Chance:
    """An arm that is not trained yet: its expected score and the probability that it beats the best trained one.

    `missing` are its cells to train. The expected score is NaN if no student is measured.
    """

    arm: str
    expected: float
    probability: float
    missing: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class GroupRisk:
    """The state of the students that are decided together: the best trained arm, and the risk that another is better.

    `trained` are the arms that can be chosen, the best one first, with their scores (geometric means over the students
    on the scale "log"). `candidates` are the untrained arms, the likeliest one first. The risk is 1 if no arm is
    trained and one can be, and 0 if there is nothing left to train.
    """

    students: tuple[str, ...]
    trained: tuple[tuple[str, float], ...]
    candidates: tuple[Chance, ...]
    risk: float

    @property
    def best(self) -> str | None:
        """The best trained arm."""
        return self.trained[0][0] if self.trained else None


def groups(space: SearchSpace, settings: SearchSettings) -> list[tuple[str, ...]]:
    """Return the students that are decided together."""
    return [space.students] if settings.per == "all" else [(student,) for student in space.students]


def group_risks(space: SearchSpace, evidence: Evidence, settings: SearchSettings) -> list[GroupRisk]:
    """Return the risk of every group of students.

    An arm can be chosen for a group if none of its cells is absent or has failed.
    """
    utility = utilities(space, evidence, settings)
    model = fit(space, utility)
    return [_group_risk(space, evidence, settings, utility, model, group) for group in groups(space, settings)]


def combined_risk(chances: Sequence[float]) -> float:
    """Return the probability that at least one of several independent events happens."""
    return 1 - math.prod(1 - chance for chance in chances)


def _group_risk(
    space: SearchSpace,
    evidence: Evidence,
    settings: SearchSettings,
    utility: Floats,
    model: Fit,
    group: tuple[str, ...],
) -> GroupRisk:
    rows = [space.students.index(student) for student in group]
    trained: list[tuple[float, str]] = []
    open_arms: list[int] = []
    for column in _possible_arms(space, evidence, group):
        if np.isfinite(utility[rows, column]).all():
            trained.append((float(utility[rows, column].mean()), space.arms[column]))
        else:
            open_arms.append(column)
    trained.sort(key=lambda each: -each[0])  # stable: equal arms keep the order of the space
    best = trained[0][0] if trained else None
    chances = [_chance(space, settings, utility, model, rows, column, best) for column in open_arms]
    chances.sort(key=lambda chance: (-chance.probability, -_order(chance.expected)))
    return GroupRisk(
        group,
        tuple((arm, to_score(value, settings)) for value, arm in trained),
        tuple(chances),
        combined_risk([chance.probability for chance in chances]),
    )


def _possible_arms(space: SearchSpace, evidence: Evidence, group: tuple[str, ...]) -> Iterator[int]:
    for column, arm in enumerate(space.arms):
        cells = {Cell(student, arm) for student in group}
        if not cells & (space.absent | evidence.failed):
            yield column


def _chance(
    space: SearchSpace,
    settings: SearchSettings,
    utility: Floats,
    model: Fit,
    rows: list[int],
    column: int,
    best: float | None,
) -> Chance:
    """Return the chance that an arm's mean utility over the students of `rows` is above `best` by the margin."""
    values = utility[rows, column]
    missing = ~np.isfinite(values)
    expected = float(np.where(missing, model.expected[rows, column], values).mean())
    design = model.design[rows, column][missing].sum(axis=0) / len(rows)
    variance = missing.sum() / len(rows) ** 2 + design @ model.spread @ design
    scale = model.scale * math.sqrt(float(variance))
    cells = tuple(
        Cell(space.students[row], space.arms[column]) for row, gone in zip(rows, missing, strict=True) if gone
    )
    known = bool(np.isfinite(utility).any())
    probability = (
        1.0 if best is None else float(special.stdtr(model.freedom, (expected - best - margin(settings)) / scale))
    )
    return Chance(space.arms[column], to_score(expected, settings) if known else math.nan, probability, cells)


def _order(value: float) -> float:
    return -math.inf if math.isnan(value) else value
