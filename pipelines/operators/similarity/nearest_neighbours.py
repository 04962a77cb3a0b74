"""Exact distances to nearest neighbours (2412.11231, minimum neighbor distance), in blocks of bounded memory.

The vectors are divided into panels. The product of two vectors is computed once and used for both rows. Products of
almost equal vectors are imprecise in float32. Therefore equal vectors are found by their digests first, and the
distance to the nearest neighbour is computed from the difference of the two vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.operators.similarity.vectors import (
    MAX_REPEATS,
    UNIT_TOLERANCE,
    DistinctRows,
    Floats,
    Ints,
    Nearest,
    Vectors,
)

MapCalls = Callable[[Callable[..., Any], Iterable[tuple[Any, ...]]], Iterator[Any]]


@dataclass(frozen=True, slots=True)
class Neighbours:
    """For every row: squared L2 distance to the nearest other row, that row's number, and the number of near rows.

    All arrays are [rows].
    """

    distance: Floats
    nearest: Ints
    repeats: Ints


@dataclass(frozen=True, slots=True)
class EqualVectors:
    """Groups of equal vectors: the first row of each [groups], the group of each row [rows], and sizes [groups]."""

    first: Ints
    group: Ints
    size: Ints


def map_in_process(function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
    """Call a function with each tuple of arguments, one after another, in this process."""
    return (function(*call) for call in calls)


def find_neighbours(
    panels: Sequence[Any], map_calls: MapCalls = map_in_process, vector_of: Ints | None = None
) -> Neighbours:
    """Return the nearest neighbours of all rows. Distances are 2 - 2cos, in [0, 4]; exactly 0 for equal vectors.

    `repeats` is the number of other rows nearer than 0.05, at most 499.

    Args:
        panels: Unit vectors, float32 [vectors, dimensions] in total; no panel is empty.
        map_calls: Runs a function on many tuples of arguments, in order. If it runs them elsewhere, the panels may be
            references to arrays.
        vector_of: The number of each row's vector [rows], if rows share vectors.

    Raises:
        ValueError: There are fewer than two rows, or a vector is not a unit vector.
    """
    digests_of_panels = list(map_calls(vector_digests, [(panel,) for panel in panels]))
    vectors = group_equal(np.concatenate(digests_of_panels))
    rows = vectors if vector_of is None else _row_groups(vectors, vector_of)
    if len(rows.group) < 2:
        raise ValueError("cannot find neighbours: fewer than two rows")
    ends = np.cumsum([len(mark) for mark in digests_of_panels])
    # the distinct vectors of each panel, and the number of the first of them
    cuts = [0, *np.searchsorted(vectors.first, ends).tolist()]
    sides = [
        (panel, DistinctRows(vectors.first[low:high] - (end - len(mark)), rows.size[low:high], low))
        for panel, mark, end, low, high in zip(panels, digests_of_panels, ends, cuts, cuts[1:], strict=False)
    ]
    return _neighbours_of_rows(rows, _search_panels([side for side in sides if len(side[1].rows)], map_calls))


def vector_digests(vectors: Vectors) -> npt.NDArray[np.void]:
    """Return a digest of every vector [vectors]. Equal vectors have equal digests.

    Raises:
        ValueError: A vector is not a unit vector.
    """
    lengths = np.linalg.norm(vectors, axis=1)  # [vectors]
    if not np.all(np.abs(lengths - 1) < UNIT_TOLERANCE):  # also false for NaN
        raise ValueError("cannot find neighbours: not all vectors are unit vectors")
    # adding 0 makes -0.0 equal to 0.0
    return np.array([blake2b(row + np.float32(0), digest_size=16).digest() for row in vectors], dtype="V16")


def group_equal(digests_of_vectors: npt.NDArray[np.void]) -> EqualVectors:
    """Group rows with the same digest. Groups are in the order of their first rows."""
    _, first, group, size = np.unique(digests_of_vectors, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return EqualVectors(first[order], rank[group], size[order])


def _row_groups(vectors: EqualVectors, vector_of: Ints) -> EqualVectors:
    """Convert groups of equal vectors to groups of the rows with these vectors."""
    group = vectors.group[vector_of]
    first = np.full(len(vectors.first), len(group))
    np.minimum.at(first, group, np.arange(len(group)))
    return EqualVectors(first, group, np.bincount(group, minlength=len(first)))


def _search_panels(sides: Sequence[tuple[Any, DistinctRows]], map_calls: MapCalls) -> Nearest:
    """Find the nearest neighbours of the distinct vectors of all panels. Every pair of panels is compared once."""
    from pipelines.operators.similarity.block_products import compare_panels

    pairs = list(combinations_with_replacement(range(len(sides)), 2))
    calls = (sides[i] if i == j else (*sides[i], *sides[j]) for i, j in pairs)
    found: dict[int, Nearest] = {}
    for pair, results in zip(pairs, map_calls(compare_panels, calls), strict=True):
        for side, result in zip(pair, results, strict=False):
            found[side] = found[side].merge(result) if side in found else result
    parts = [found[side] for side in range(len(sides))]
    return Nearest(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("distance", "place", "near")))


def _neighbours_of_rows(groups: EqualVectors, nearest_vectors: Nearest) -> Neighbours:
    """Expand groups to rows. A row's nearest is the first row of its group; that of the first row is the second."""
    rows, several = np.arange(len(groups.group)), groups.size > 1
    distance = np.where(several, 0.0, nearest_vectors.distance)
    nearest = groups.first[np.where(several, np.arange(len(several)), nearest_vectors.place)][groups.group]
    itself = nearest == rows
    # assigning in reverse order leaves the earliest of the other copies
    second = np.zeros(len(several), dtype=np.int64)
    further = rows[rows != groups.first[groups.group]][::-1]
    second[groups.group[further]] = further
    repeats = np.minimum(groups.size - 1 + nearest_vectors.near.astype(np.int64), MAX_REPEATS)
    return Neighbours(distance[groups.group], np.where(itself, second[groups.group], nearest), repeats[groups.group])
