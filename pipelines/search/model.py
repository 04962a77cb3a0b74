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
from pipelines.search.space import SearchSpace

RESIDUAL_SCALE = 0.25  # assumed before anything is measured
RESIDUAL_OBSERVATIONS = 6  # what the assumption counts as
RESIDUAL_FLOOR = 0.08  # the scale is never smaller
STUDENT_SPREAD = 100.0  # prior standard deviations of the parameters
ARM_SPREAD = 0.4
WEIGHT_SPREAD = 0.3
WEIGHT = 0.3  # expected sum of the weights of all priors: utility per standard deviation of a prior


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


def fit(space: SearchSpace, utility: Floats) -> Fit:
    """Fit the model to the utilities [students, arms] of the measured cells; NaN marks the others."""
    students, arms = utility.shape
    design = _design(space.prior_scores, students, arms)
    flat = design.reshape(students * arms, -1)
    start = np.zeros(flat.shape[1])
    priors = len(space.priors)
    start[students : students + priors] = WEIGHT / max(1, priors)
    deviations = np.array([STUDENT_SPREAD] * students + [WEIGHT_SPREAD] * priors + [ARM_SPREAD] * arms)
    known = np.isfinite(utility)
    rows, values = flat[known.ravel()], utility[known]
    start[:students] = values.mean() if values.size else 0.0
    information: Any = rows.T @ rows + np.diag((RESIDUAL_SCALE / deviations) ** 2)
    spread: Any = np.linalg.inv(information)
    parameters = start + spread @ rows.T @ (values - rows @ start)
    residuals = np.full(utility.shape, math.nan)
    residuals[known] = _left_out_residuals(rows, spread, values - rows @ parameters)
    # the only cell of a student says nothing of residuals: it alone determines the student's parameter
    residuals[known.sum(axis=1) < 2] = math.nan
    scale, freedom = _residual_scale(residuals[np.isfinite(residuals)])
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


def _design(scores: Floats, students: int, arms: int) -> Floats:
    """Return the design of the regression, [students, arms, parameters]."""
    shape = (students, arms)
    own: Any = np.broadcast_to(np.eye(students)[:, None, :], (*shape, students))
    arm: Any = np.broadcast_to(np.eye(arms)[None, :, :], (*shape, arms))
    return np.concatenate([own, np.moveaxis(scores, 0, -1), arm], axis=-1)


def _left_out_residuals(rows: Floats, spread: Floats, residuals: Floats) -> Floats:
    """Return each cell's residual under the model of all other cells, without fitting again."""
    leverage = np.einsum("np,pq,nq->n", rows, spread, rows)
    return residuals / np.maximum(1 - leverage, 1e-9)


def _residual_scale(residuals: Floats) -> tuple[float, float]:
    """Return the scale of the residuals and its degrees of freedom."""
    freedom = RESIDUAL_OBSERVATIONS + residuals.size
    squares = RESIDUAL_OBSERVATIONS * RESIDUAL_SCALE**2 + float((residuals**2).sum())
    return max(math.sqrt(squares / freedom), RESIDUAL_FLOOR), float(freedom)
