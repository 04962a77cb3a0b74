"""Types and constants of the nearest-neighbour searches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]
NEAR_DISTANCE = 0.05
MAX_REPEATS = 499  # the published search finds 500 neighbours, of which the row itself is one
UNIT_TOLERANCE = 1e-3
PANEL_SIZE = 16384  # vectors in a panel: a pair takes seconds, so a retry loses little


class DistinctRows(NamedTuple):
    """The rows of a panel that have its distinct vectors, how many rows of the set have each of these vectors, and the
    number of the first vector among all distinct ones of the set."""

    rows: Ints
    copies: Ints
    start: int


@dataclass(frozen=True, slots=True)
class Nearest:
    """Interim results of distinct vectors: distance to the nearest other, its number, and the number of near rows.

    All arrays are [vectors].
    """

    distance: Floats
    place: Ints
    near: Floats

    def merge(self, other: Nearest) -> Nearest:
        """Return the nearer of two results. Ties are broken by the lower number."""
        nearer = (other.distance < self.distance) | ((other.distance == self.distance) & (other.place < self.place))
        return Nearest(
            np.where(nearer, other.distance, self.distance),
            np.where(nearer, other.place, self.place),
            self.near + other.near,
        )
