"""The percentile bootstrap: resampling with replacement, and the interval of a statistic over the resamples.

If all observations are 0, or all are 1, so are all resamples. Their share then has Wilson's interval.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

INTERVAL_PERCENTILES = (2.5, 97.5)
_Z_SQUARED = 1.959963984540054**2
_ROUNDING = 1e-9


def draw_resamples(count: int, resamples: int, seed: int) -> npt.NDArray[np.int64]:
    """Return the positions of `resamples` samples with replacement of `count` observations: [resamples, count]."""
    return np.random.default_rng(seed).integers(0, max(count, 1), (resamples, count))


def percentile_interval(statistics: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % interval of a statistic from its values in all resamples."""
    low, high = np.percentile(statistics, INTERVAL_PERCENTILES)
    return float(low), float(high)


def score_interval(low: float, high: float, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a score over `count` tasks, in percent, from a bootstrap's or Student's t.

    It is the given one, within 0 and 100, unless that has no width because all tasks have 0, or all have 100 %.
    """
    width = 100.0 * _Z_SQUARED / (count + _Z_SQUARED)
    if high <= _ROUNDING:
        return 0.0, width
    return (100.0 - width, 100.0) if low >= 100.0 - _ROUNDING else (max(0.0, low), min(100.0, high))
