"""The scale on which scores are compared: higher is better, and `margin` is the difference that matters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product

import numpy as np

from pipelines.search.ranks import Floats
from pipelines.search.space import Cell, Evidence, SearchSettings, SearchSpace

LINEAR_MARGIN = 0.05  # of the linear scale, so that the model's constants fit both scales
SMALLEST = float(np.finfo(np.float64).tiny)  # shares of smaller scores would be rounded to zero, without a logarithm
WORST_SHARE = 0.01  # of the student's best score: the model need not tell worse scores apart


def margin(settings: SearchSettings) -> float:
    """Return by how much the utility of an arm has to be higher to count as better."""
    return -math.log1p(-settings.epsilon) if settings.scale == "log" else LINEAR_MARGIN


def utilities(space: SearchSpace, evidence: Evidence, settings: SearchSettings) -> Floats:
    """Return the utility of each cell, [students, arms]; NaN where no finite score is measured.

    On the scale "log", it is the logarithm of the score, or its negative if a lower score is better. A score that is
    more than a hundred times worse than the student's best counts as a hundred times worse. A score of zero that is the
    best possible one counts as half of the smallest positive score of the grid.

    Raises:
        ValueError: A score is negative on the scale "log", or its cell is not one of the grid.
    """
    scores = score_table(space, evidence.scores)
    sign = 1.0 if settings.higher_is_better else -1.0
    if settings.scale == "linear":
        return scores * (sign * LINEAR_MARGIN / settings.epsilon)
    if (scores < 0).any():
        worst = float(np.nanmin(scores))
        raise ValueError(
            f"the score {worst:g} is negative, and the scale 'log' needs scores that are not: use 'linear'"
        )
    return np.stack([sign * np.log(row) for row in _bounded_rows(scores, settings.higher_is_better)])


def score_table(space: SearchSpace, scores: Mapping[Cell, float]) -> Floats:
    """Return the scores as a table [students, arms]; NaN where there is no finite score."""
    space.check(scores)
    every = product(space.students, space.arms)
    table = np.array([scores.get(Cell(*place), math.nan) for place in every])
    return np.where(np.isfinite(table), table, math.nan).reshape(len(space.students), len(space.arms))


def to_score(utility: float, settings: SearchSettings) -> float:
    """Return the score with this utility."""
    signed = utility if settings.higher_is_better else -utility
    return math.exp(min(signed, 700.0)) if settings.scale == "log" else signed * settings.epsilon / LINEAR_MARGIN


def _bounded_rows(scores: Floats, higher_is_better: bool) -> list[Floats]:
    """Return positive scores: the students' rows with zeros and very bad scores replaced."""
    positive = scores[scores > 0]
    smallest = max(float(positive.min()) / 2, SMALLEST) if positive.size else 1.0
    rows: list[Floats] = []
    for row in scores:
        if np.isnan(row).all():
            rows.append(row)
        elif higher_is_better:
            rows.append(np.maximum(row, max(float(np.nanmax(row)) * WORST_SHARE, smallest * WORST_SHARE)))
        else:
            known = np.maximum(row, smallest)
            rows.append(np.minimum(known, float(np.nanmin(known)) / WORST_SHARE))
    return rows
