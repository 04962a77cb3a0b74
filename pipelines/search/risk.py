"""The risk of stopping: how probably an untrained arm is better than the best trained one by more than epsilon."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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
    model = fit(space, utility, settings.assumed)
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
    from scipy import special  # slow to import

    rows = [space.students.index(student) for student in group]
    values, missing = utility[rows], np.isnan(utility[rows])  # [students of the group, arms]
    possible = _possible_arms(space, evidence, group)
    means: list[float] = values.mean(axis=0).tolist()
    complete: list[bool] = (missing.sum(axis=0) == 0).tolist()
    # stable sorts: equal arms keep the order of the grid
    trained = sorted((arm for arm in possible if complete[arm]), key=lambda arm: -means[arm])
    expected = np.where(missing, model.expected[rows], values).mean(axis=0)
    chances = np.ones(len(space.arms))
    if trained:
        gap = expected - means[trained[0]] - margin(settings)
        chances = special.stdtr(model.freedom, gap / _error_scale(model, rows, missing))
    numbers = list(zip(expected.tolist(), chances.tolist(), strict=True))
    untrained = [arm for arm in possible if not complete[arm]]
    untrained.sort(key=lambda arm: (-numbers[arm][1], -numbers[arm][0]))
    return GroupRisk(
        group,
        tuple((space.arms[arm], to_score(means[arm], settings)) for arm in trained),
        tuple(
            Chance(
                space.arms[arm],
                to_score(numbers[arm][0], settings) if evidence.scores else math.nan,
                numbers[arm][1],
                tuple(Cell(group[row], space.arms[arm]) for row, gone in enumerate(missing[:, arm].tolist()) if gone),
            )
            for arm in untrained
        ),
        combined_risk([numbers[arm][1] for arm in untrained]),
    )


def _possible_arms(space: SearchSpace, evidence: Evidence, group: tuple[str, ...]) -> list[int]:
    """Return the positions of the arms that a group can have."""
    gone = {cell.arm for cell in space.absent | evidence.failed if cell.student in group}
    return [number for number, arm in enumerate(space.arms) if arm not in gone]


def _error_scale(model: Fit, rows: list[int], missing: npt.NDArray[np.bool_]) -> Floats:
    """Return the scale of the error of each arm's mean utility over the students of `rows`; tiny if none is missing.

    It has two parts: the residuals of the missing cells, and the errors of the parameters.
    """
    design = (model.design[rows] * missing[:, :, None]).sum(axis=0) / len(rows)  # [arms, parameters]
    residuals = missing.sum(axis=0) / len(rows) ** 2
    parameters = ((design @ model.spread) * design).sum(axis=1)
    return model.scale * np.sqrt(np.maximum(residuals + parameters, 1e-12))
