"""Spearman's rho between a metric and a measured performance, with a bootstrap interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.bootstrap import draw_resamples, percentile_interval

Floats = npt.NDArray[np.float64]
CORRELATION_RESAMPLES = 2000
MAX_UNDEFINED_FRACTION = 0.05


@dataclass(frozen=True, slots=True)
class Correlation:
    """Spearman's rho over `n` points and its 95 % bootstrap interval; NaN where it is undefined.

    `undefined` is the number of resamples without a rho, because all their values of one variable are equal. They are
    left out of the interval. If they are more than 5 % of the resamples, there is no interval, as the other resamples
    would be a biased sample.
    """

    rho: float
    low: float
    high: float
    n: int
    undefined: int


def spearman(metric: Sequence[float], measured: Sequence[float]) -> float:
    """Return Pearson's correlation of the average ranks (2411.07133, section on predicting the best generator).

    The result is NaN for fewer than two points, or if all values of one variable are equal.
    """
    pair = np.array([metric, measured], dtype=np.float64)
    return float(_rhos(pair[:, None, :])[0])


def correlate(metric: Sequence[float], measured: Sequence[float], seed: int = 0) -> Correlation:
    """Return rho and its percentile-bootstrap interval over points, from 2,000 resamples.

    Raises:
        ValueError: A value is not finite.
    """
    pair = np.array([metric, measured], dtype=np.float64)
    if not np.isfinite(pair).all():
        raise ValueError("correlation of values that are not finite: leave out these points")
    n = pair.shape[1]
    rhos = _rhos(pair[:, draw_resamples(n, CORRELATION_RESAMPLES, seed)])
    known = rhos[np.isfinite(rhos)]
    undefined = CORRELATION_RESAMPLES - len(known)
    enough_defined = undefined <= MAX_UNDEFINED_FRACTION * CORRELATION_RESAMPLES
    low, high = percentile_interval(known) if enough_defined else (math.nan, math.nan)
    return Correlation(spearman(metric, measured), low, high, n, undefined)


def _rhos(pairs: Floats) -> Floats:
    """Return the rho of each sample: [2, samples, points] to [samples]."""
    from scipy import stats  # slow to import

    if pairs.shape[2] < 2:
        return np.full(pairs.shape[1], math.nan)
    ranks = stats.rankdata(pairs, axis=2)
    ranks -= ranks.mean(axis=2, keepdims=True)
    spread = np.sqrt((ranks**2).sum(axis=2).prod(axis=0))
    products = ranks.prod(axis=0).sum(axis=1)
    return np.divide(products, spread, out=np.full_like(spread, math.nan), where=spread > 0)
