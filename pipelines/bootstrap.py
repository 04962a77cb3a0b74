"""The percentile bootstrap: resampling with replacement, and the interval of a statistic over the resamples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

INTERVAL_PERCENTILES = (2.5, 97.5)


def draw_resamples(count: int, resamples: int, seed: int) -> npt.NDArray[np.int64]:
    """Return the positions of `resamples` samples with replacement of `count` observations: [resamples, count]."""
    return np.random.default_rng(seed).integers(0, max(count, 1), (resamples, count))


def percentile_interval(statistics: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % interval of a statistic from its values in all resamples."""
    low, high = np.percentile(statistics, INTERVAL_PERCENTILES)
    return float(low), float(high)
