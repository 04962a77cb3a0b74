"""Distances to nearest neighbours (2412.11231, minimum neighbor distance): exact, in blocks of bounded memory.

The set of vectors comes in panels. Every product of two vectors is computed once and serves both rows. Products of
almost equal vectors say little in float32, so equal vectors are found by their digests beforehand and the distance to
the neighbour that was found is computed from the difference.
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
    """Of every row: the squared L2 distance to the nearest other row, that row's number, and how many are near."""

    distance: Floats
    nearest: Ints
    repeats: Ints


@dataclass(frozen=True, slots=True)
class EqualVectors:
    """Equal vectors: the first row of each group, each row's group, and the groups' sizes."""

    first: Ints
    group: Ints
    size: Ints


def map_in_process(function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
    """Call a function with each of these arguments, one after another, in this process."""
    return (function(*call) for call in calls)


def find_neighbours(
    panels: Sequence[Any], map_calls: MapCalls = map_in_process, vector_of: Ints | None = None
) -> Neighbours:
    """The nearest neighbours of rows that have unit vectors, float32 [vectors, dimensions] in panels of at least one.

    `vector_of` has the number of each row's vector, where several rows share one. Distances are 2 - 2cos, in [0, 4];
    rows with equal vectors have exactly 0. `repeats` counts the other rows nearer than 0.05, 499 at most. `map_calls`
    runs a function over many arguments, in order: in this process, or elsewhere (the panels may then be what stands for
    arrays there). Raises ValueError for fewer than two rows and for other than unit vectors.
    """
    digests_of_panels = list(map_calls(vector_digests, [(panel,) for panel in panels]))
    vectors = group_equal(np.concatenate(digests_of_panels))
    rows = vectors if vector_of is None else _row_groups(vectors, vector_of)
    if len(rows.group) < 2:
        raise ValueError("fewer than two rows have no neighbours")
    ends = np.cumsum([len(mark) for mark in digests_of_panels])
    # the distinct vectors of each panel, and the number of the first of them
    cuts = [0, *np.searchsorted(vectors.first, ends).tolist()]
    sides = [
        (panel, DistinctRows(vectors.first[low:high] - (end - len(mark)), rows.size[low:high], low))
        for panel, mark, end, low, high in zip(panels, digests_of_panels, ends, cuts, cuts[1:], strict=False)
    ]
    return _neighbours_of_rows(rows, _search_panels([side for side in sides if len(side[1].rows)], map_calls))


def vector_digests(vectors: Vectors) -> npt.NDArray[np.void]:
    """A digest of every vector [rows], by which equal ones are found. Raises ValueError for other than unit ones."""
    lengths = np.linalg.norm(vectors, axis=1)
    if not np.all(np.abs(lengths - 1) < UNIT_TOLERANCE):  # also false for NaN
        raise ValueError("neighbours are looked for among unit vectors; some are not")
    # adding 0 makes -0.0 equal to 0.0
    return np.array([blake2b(row + np.float32(0), digest_size=16).digest() for row in vectors], dtype="V16")


def group_equal(digests_of_vectors: npt.NDArray[np.void]) -> EqualVectors:
    """Rows with the same digest as one group; groups in the order of their first rows."""
    _, first, group, size = np.unique(digests_of_vectors, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return EqualVectors(first[order], rank[group], size[order])


def _row_groups(vectors: EqualVectors, vector_of: Ints) -> EqualVectors:
    """Groups of equal vectors as groups of the rows that have them."""
    group = vectors.group[vector_of]
    first = np.full(len(vectors.first), len(group))
    np.minimum.at(first, group, np.arange(len(group)))
    return EqualVectors(first, group, np.bincount(group, minlength=len(first)))


def _search_panels(sides: Sequence[tuple[Any, DistinctRows]], map_calls: MapCalls) -> Nearest:
    """What the distinct vectors of all panels find: every pair of panels is compared once."""
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
    """From groups of equal vectors to rows: a row's nearest is its first copy, and the first's is the second."""
    rows, several = np.arange(len(groups.group)), groups.size > 1
    distance = np.where(several, 0.0, nearest_vectors.distance)
    nearest = groups.first[np.where(several, np.arange(len(several)), nearest_vectors.place)][groups.group]
    itself = nearest == rows
    # assigning in reverse leaves the earliest of the further copies
    second = np.zeros(len(several), dtype=np.int64)
    further = rows[rows != groups.first[groups.group]][::-1]
    second[groups.group[further]] = further
    repeats = np.minimum(groups.size - 1 + nearest_vectors.near.astype(np.int64), MAX_REPEATS)
    return Neighbours(distance[groups.group], np.where(itself, second[groups.group], nearest), repeats[groups.group])
