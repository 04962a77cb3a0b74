"""Types and bounds that the searches for near vectors share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]
NEAR_DISTANCE = 0.05
MAX_REPEATS = 499  # the published search looks at 500 neighbours, of which the row itself is one
UNIT_TOLERANCE = 1e-3
PANEL_SIZE = 16384  # vectors in a panel: a pair of panels is seconds of work, and little of it is done again


class DistinctRows(NamedTuple):
    """The rows of a panel that have its distinct vectors, how many rows of the set have each of these vectors, and the
    number of the first vector among all distinct ones of the set."""

    rows: Ints
    copies: Ints
    start: int


@dataclass(frozen=True, slots=True)
class Nearest:
    """What some distinct vectors know so far: distance to the nearest, its group, and how many rows are near."""

    distance: Floats
    place: Ints
    near: Floats

    def merge(self, other: Nearest) -> Nearest:
        """The nearer of two findings; of equally near ones the earlier row."""
        nearer = (other.distance < self.distance) | ((other.distance == self.distance) & (other.place < self.place))
        return Nearest(
            np.where(nearer, other.distance, self.distance),
            np.where(nearer, other.place, self.place),
            self.near + other.near,
        )
