"""Finds the ranked unit vectors that are too close to a better one that is already selected."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RANKED_BLOCK_SIZE = 256


def too_close(ranked: Sequence[bytes], min_distance: float, count: int) -> list[int]:
    """Select vectors in the order of their rank until `count` are selected; return the indices that were skipped.

    A vector is skipped if its squared L2 distance to a selected one is less than `min_distance`. Each vector is
    float32 as bytes, of length 1; the best comes first.
    """
    taken: list[int] = []
    passed: list[int] = []
    vectors = np.frombuffer(b"".join(ranked), dtype=np.float32).reshape(len(ranked), -1)
    product_limit = 1 - min_distance / 2
    for start in range(0, len(ranked), RANKED_BLOCK_SIZE):
        block = vectors[start : start + RANKED_BLOCK_SIZE]
        near = np.any(block @ vectors[taken].T > product_limit, axis=1)
        among = block @ block.T > product_limit
        for place in range(len(block)):
            if len(taken) == count:
                return passed
            if near[place]:
                passed.append(start + place)
            else:
                taken.append(start + place)
                near |= among[place]
    return passed
