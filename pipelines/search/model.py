"""The model of a grid: utility = student + weights * priors + arm effect + residual, with Student's tails.

All parameters have a normal prior distribution, so that one measured cell is enough (ridge regression). The scale of
the residuals comes from leave-one-out residuals and an assumed scale, which counts as a few observations.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.search.ranks import Floats
from pipelines.search.space import ASSUMPTIONS, Assumptions, SearchSpace

STUDENT_SPREAD = 100.0  # the level of a student's scores is unknown: it is hardly penalised


@dataclass(frozen=True, slots=True)
class Fit:
    """The model after the measured cells.

    `expected` is the expected utility of each cell, [students, arms]. `left_out` is that of each measured cell from
    all other cells; NaN for other cells, and for the only measured cell of a student. `scale` and `freedom` are those
    of Student's distribution of the residuals. `weights` (by prior) are utility per standard deviation of a prior, and
    `effects` (by arm) utility. `spread` is the covariance of the parameters' errors in units of `scale` squared, and
    `design` [students, arms, parameters] is what the parameters are multiplied by.
    """

    expected: Floats
    left_out: Floats
    scale: float
    freedom: float
    weights: Mapping[str, float]
    effects: Mapping[str, float]
    spread: Floats
    design: Floats


def fit(space: SearchSpace, utility: Floats, assumed: Assumptions = ASSUMPTIONS) -> Fit:
    """Fit the model to the utilities [students, arms] of the measured cells; NaN marks the others."""
    students, arms = utility.shape
    design = space.regressors
    flat = design.reshape(students * arms, -1)
    start = np.zeros(flat.shape[1])
    priors = len(space.priors)
    start[students : students + priors] = assumed.weight / max(1, priors)
    deviations = np.repeat([STUDENT_SPREAD, assumed.weight_spread, assumed.arm_spread], [students, priors, arms])
    known = np.isfinite(utility)
    rows, values = flat[known.ravel()], utility[known]
    start[:students] = values.mean() if values.size else 0.0
    information: Any = rows.T @ rows + np.diag((assumed.residual_scale / deviations) ** 2)
    spread: Any = np.linalg.inv(information)
    parameters = start + spread @ rows.T @ (values - rows @ start)
    residuals = np.full(utility.shape, math.nan)
    residuals[known] = _left_out_residuals(rows, spread, values - rows @ parameters)
    # the only cell of a student says nothing of residuals: it alone determines the student's parameter
    residuals[known.sum(axis=1) < 2] = math.nan
    scale, freedom = _residual_scale(residuals[np.isfinite(residuals)], assumed)
    return Fit(
        (flat @ parameters).reshape(students, arms),
        utility - residuals,
        scale,
        freedom,
        dict(zip(space.priors, parameters[students : students + priors].tolist(), strict=True)),
        dict(zip(space.arms, parameters[students + priors :].tolist(), strict=True)),
        spread,
        design,
    )


def _left_out_residuals(rows: Floats, spread: Floats, residuals: Floats) -> Floats:
    """Return each cell's residual under the model of all other cells, without fitting again."""
    leverage = ((rows @ spread) * rows).sum(axis=1)
    return residuals / np.maximum(1 - leverage, 1e-9)


def _residual_scale(residuals: Floats, assumed: Assumptions) -> tuple[float, float]:
    """Return the scale of the residuals and its degrees of freedom."""
    freedom = assumed.residual_observations + residuals.size
    squares = assumed.residual_observations * assumed.residual_scale**2 + float((residuals**2).sum())
    return max(math.sqrt(squares / freedom), assumed.residual_floor), min(freedom, assumed.residual_freedom)
