"""What a search will cost, before anything is trained: it is run on made-up scores like those of published grids."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from pipelines.search.finals import final_cells
from pipelines.search.ranks import Floats
from pipelines.search.replay import replay
from pipelines.search.risk import groups
from pipelines.search.space import Cell, SearchSettings, SearchSpace

# logarithms of scores within a student: 19 teachers of 5 bases (2411.07133, Table 6) have a deviation of 0.49, of which
# a teacher's effect explains nine tenths of the variance
SPREAD = 0.5
ARM_SHARE = 0.9
REPETITIONS = 60
RHO = 0.8  # of CAR (2411.07133) and RSR (2601.14249), 0.86 to 0.89 were published


@dataclass(frozen=True, slots=True)
class SearchCost:
    """Numbers of trainings, finals included: of the whole grid, and of the search at least, at most and on average.

    `least` are those of the start, `most` those of a search that trains every cell. In nine of ten simulated searches,
    the number was between `low` and `high`. A partial training counts as its share of the rows; `partial` is what all
    of them count as on average.
    """

    grid: int
    least: int
    most: float
    mean: float
    low: float
    high: float
    partial: float = 0.0


def simulate_cost(
    space: SearchSpace, settings: SearchSettings, rho: float = RHO, room: int = 1, repetitions: int = REPETITIONS
) -> SearchCost:
    """Return what a search costs if the prior's rank correlation with the scores is `rho` within every student.

    The priors of `space` are not read: in most cases they are not measured yet. Partial trainings are assumed to have
    the rank correlation with the scores that they need. The same arguments give the same costs.

    Raises:
        ValueError: `rho` is not between -1 and 1, or `repetitions` is below 1.
    """
    if not -1 <= rho <= 1:
        raise ValueError(f"rho is {rho:g}; a rank correlation is between -1 and 1")
    if repetitions < 1:
        raise ValueError(f"repetitions is {repetitions}; it must be at least 1")
    rng = np.random.default_rng(0)
    settings = replace(settings, higher_is_better=True, scale="log", epsilon=_log_epsilon(settings))
    costs, partial = zip(*(_simulated_cost(space, settings, rho, room, rng) for _ in range(repetitions)), strict=True)
    low, high = np.percentile(costs, (5, 95), method="nearest")
    cells = len(space.cells)
    decided = [len(group) for group in groups(space, settings)]
    finals = (settings.seeds - 1) * sum(size * min(2, len(space.arms)) for size in decided)
    start = sum(size * min(settings.start, len(space.arms)) for size in decided)
    most = cells * (1 + sum(settings.rungs.shares)) + finals
    least = min(start, cells) + finals
    return SearchCost(cells, least, most, float(np.mean(costs)), float(low), float(high), float(np.mean(partial)))


def draw_prior(utility: Floats, rho: float, rng: np.random.Generator) -> Floats:
    """Return values whose rank correlation with `utility` (standardised, normal) is `rho` on average."""
    share = 2 * math.sin(math.pi * rho / 6)  # Pearson's correlation of normal variables with this rank correlation
    return share * utility + math.sqrt(max(0.0, 1 - share**2)) * rng.standard_normal(utility.shape)


def _log_epsilon(settings: SearchSettings) -> float:
    """Return epsilon as a share: the unit of a linear scale is unknown before anything is measured."""
    return settings.epsilon if settings.scale == "log" else 0.05


def _simulated_cost(
    space: SearchSpace, settings: SearchSettings, rho: float, room: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Return the cost of one search, and that of its partial trainings."""
    shape = (len(space.students), len(space.arms))
    own = math.sqrt(1 - ARM_SHARE) * rng.standard_normal(shape)
    utility = math.sqrt(ARM_SHARE) * rng.standard_normal(shape[1]) + own  # [students, arms]
    prior = draw_prior(utility, rho, rng)
    places = {
        Cell(student, arm): (row, column)
        for row, student in enumerate(space.students)
        for column, arm in enumerate(space.arms)
    }
    parts = {share: draw_prior(utility, settings.rungs.trust, rng) for share in settings.rungs.shares}
    made_up = {"prior": {cell: float(prior[place]) for cell, place in places.items()}}
    found = replay(
        replace(space, priors=made_up),
        settings,
        lambda cell: math.exp(SPREAD * float(utility[places[cell]])),
        room,
        lambda cell, share: math.exp(SPREAD * float(parts[share][places[cell]])),
    )
    return found.cost + len(final_cells(found.groups, settings)), found.cost - len(found.scores)
