"""What a search is about: the cells of a grid, what is known of them, and the settings of the search."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from pipelines.search.ranks import Floats, normal_scores

Per = Literal["student", "all"]
ScoreScale = Literal["log", "linear"]


class Cell(NamedTuple):
    """One training of the grid: a student, and an arm (a teacher, an evolver, ...) whose data it is trained on."""

    student: str
    arm: str


@dataclass(frozen=True)
class SearchSpace:
    """The grid that is searched. The order of `students` and `arms` decides between equal candidates.

    `priors` has a value of each cell by the name of the prior. Only the order of a prior's values within a student
    matters; a higher value means that the cell is expected to be better. A cell without a value, or with one that is
    not finite, counts as average. `absent` are the cells that the grid does not have.

    Raises:
        ValueError: There are no students or arms, a name is repeated, or a cell is not one of the grid.
    """

    students: tuple[str, ...]
    arms: tuple[str, ...]
    priors: Mapping[str, Mapping[Cell, float]] = field(default_factory=dict[str, Mapping[Cell, float]])
    absent: frozenset[Cell] = frozenset()

    def __post_init__(self) -> None:
        for names, what in ((self.students, "students"), (self.arms, "arms")):
            if not names:
                raise ValueError(f"a search needs {what}")
            if len(set(names)) < len(names):
                raise ValueError(f"repeated names of {what}: {', '.join(names)}")
        self.check(self.absent)
        for name, prior in self.priors.items():
            self.check(prior, f" of the prior '{name}'")

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All cells of the grid, student by student."""
        every = (Cell(student, arm) for student in self.students for arm in self.arms)
        return tuple(cell for cell in every if cell not in self.absent)

    @cached_property
    def prior_scores(self) -> Floats:
        """The normal scores of every prior within every student, [priors, students, arms]; 0 for an average cell."""
        shape = (len(self.priors), len(self.students), len(self.arms))
        values = [self._prior_row(prior, student) for prior in self.priors.values() for student in self.students]
        return np.array([normal_scores(row) for row in values]).reshape(shape)

    @cached_property
    def regressors(self) -> Floats:
        """What the model's parameters are multiplied by, [students, arms, parameters]: by student, prior and arm."""
        students, arms = len(self.students), len(self.arms)
        own = np.repeat(np.eye(students)[:, None, :], arms, axis=1)
        arm = np.repeat(np.eye(arms)[None, :, :], students, axis=0)
        return np.concatenate([own, np.moveaxis(self.prior_scores, 0, -1), arm], axis=-1)

    def _prior_row(self, prior: Mapping[Cell, float], student: str) -> Floats:
        cells = [Cell(student, arm) for arm in self.arms]
        return np.array([math.nan if cell in self.absent else prior.get(cell, math.nan) for cell in cells])

    def check(self, cells: Mapping[Cell, float] | frozenset[Cell], where: str = "") -> None:
        """Check that all cells have a student and an arm of the grid.

        Raises:
            ValueError: A cell has another student or arm. `where` is added to the message.
        """
        students, arms = set(self.students), set(self.arms)
        for cell in cells:
            if cell.student not in students or cell.arm not in arms:
                raise ValueError(f"the cell {cell.student}, {cell.arm}{where} is not a cell of the grid")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a grid: measured scores (means over training seeds), and cells that failed or are running.

    `partial` has the scores of partial trainings by their share of the rows; NaN for those that failed.
    """

    scores: Mapping[Cell, float] = field(default_factory=dict[Cell, float])
    failed: frozenset[Cell] = frozenset()
    running: frozenset[Cell] = frozenset()
    partial: Mapping[float, Mapping[Cell, float]] = field(default_factory=dict[float, Mapping[Cell, float]])


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What the model assumes before anything is measured, in natural logarithms of scores.

    `arm_spread` is the standard deviation of the arms' effects. The weights of all priors together are expected to be
    `weight` per standard deviation of a prior, each within `weight_spread`. The scale of residuals is assumed to be
    `residual_scale`, which counts as `residual_observations` observations, and is never below `residual_floor`. Their
    distribution never has more than `residual_freedom` degrees of freedom, so that its tails stay heavy.
    """

    arm_spread: float = 0.2
    weight: float = 0.3
    weight_spread: float = 0.5
    residual_scale: float = 0.25
    residual_observations: int = 6
    residual_floor: float = 0.08
    residual_freedom: float = 25


ASSUMPTIONS = Assumptions()


@dataclass(frozen=True, slots=True)
class RungSettings:
    """Which partial trainings there are: the shares of the rows, in rising order.

    A share is used if its scores on at least `cells` cells have a rank correlation of `trust` with the full ones.

    Raises:
        ValueError: A value is out of its range.
    """

    shares: tuple[float, ...] = ()
    trust: float = 0.9
    cells: int = 5

    def __post_init__(self) -> None:
        if any(not 0 < share < 1 for share in self.shares) or sorted({*self.shares}) != [*self.shares]:
            raise ValueError(f"the shares are {self.shares}; they must be between 0 and 1, and in rising order")
        if not -1 <= self.trust <= 1 or self.cells < 3:
            raise ValueError("a rank correlation is between -1 and 1, and measured on at least 3 cells")


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How a search decides.

    The search looks for an arm whose score is within `epsilon` of the best: a share of the score on the scale "log",
    which needs scores that are not negative, and a difference of scores on the scale "linear". It stops when the risk
    of each student (`per: all`: of the mean over all students) that an untrained arm is better by more than that is at
    most `risk`. `start` is the number of arms that are trained before the model is asked. `seeds` is the number of
    training seeds of the two best arms. `rungs` are the partial trainings; none by default. `assumed` is what the model
    starts from.

    Raises:
        ValueError: A value is out of its range.
    """

    epsilon: float = 0.05
    risk: float = 0.1
    per: Per = "student"
    start: int = 2
    seeds: int = 1
    higher_is_better: bool = True
    scale: ScoreScale = "log"
    rungs: RungSettings = RungSettings()
    assumed: Assumptions = ASSUMPTIONS

    def __post_init__(self) -> None:
        if not (math.isfinite(self.epsilon) and self.epsilon > 0 and (self.scale == "linear" or self.epsilon < 1)):
            raise ValueError(f"epsilon is {self.epsilon:g}; it must be above 0, and on the scale 'log' below 1")
        if not 0 <= self.risk < 1:
            raise ValueError(f"risk is {self.risk:g}; it must be at least 0 and below 1")
        if self.start < 1 or self.seeds < 1:
            raise ValueError("a search needs at least one arm to start with, and one training seed")
