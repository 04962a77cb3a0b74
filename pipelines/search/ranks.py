"""Normal scores: what is left of a prior's values if only their order counts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def normal_scores(values: Floats) -> Floats:
    """Return the normal quantile of each value's rank, with mean 0 and deviation 1; 0 where a value is not finite.

    Equal values share a rank. Values that are all equal are all 0.
    """
    from scipy import special, stats  # slow to import

    known = np.isfinite(values)
    result = np.zeros(values.shape)
    if np.unique(values[known]).size < 2:
        return result
    ranks = stats.rankdata(values[known])
    scores = special.ndtri((ranks - 0.375) / (len(ranks) + 0.25))
    result[known] = (scores - scores.mean()) / scores.std()
    return result
