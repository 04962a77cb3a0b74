"""Means with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RESAMPLES = 2000


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and 95 % percentile-bootstrap interval over rows (2,000 resamples, fixed seed); zeros for no rows."""
    if not values:
        return 0.0, 0.0, 0.0
    data = np.asarray(values)
    draws = np.random.default_rng(0).integers(0, len(data), size=(RESAMPLES, len(data)))
    low, high = np.percentile(data[draws].mean(axis=1), [2.5, 97.5])
    return float(data.mean()), float(low), float(high)


def mean_by(groups: Sequence[int], values: Sequence[float]) -> tuple[tuple[int, float], ...]:
    """The mean of each group, groups ascending."""
    members = {group: [v for g, v in zip(groups, values, strict=True) if g == group] for group in sorted(set(groups))}
    return tuple((group, float(np.mean(found))) for group, found in members.items())
