"""Distances to nearest neighbours: the worked examples, and the same as a plain search, however the set is cut."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.operators.similarity.nearest_neighbours import find_neighbours
from pipelines.operators.similarity.vectors import MAX_REPEATS, NEAR_DISTANCE, Vectors

THREE = np.array([[1, 0], [0, 1], [0.6, 0.8]], dtype=np.float32)


def cloud(rows: int, near: int, copies: int) -> Vectors:
    """Unit vectors [rows + near + copies, 24], of which `near` lie close to others and `copies` equal others."""
    random = np.random.default_rng(5)
    start = random.standard_normal((rows, 24))
    moved = start[:near] + 0.1 * random.standard_normal((near, 24))
    all_rows = np.concatenate([start, moved, start[random.integers(0, rows, copies)]])
    all_rows /= np.linalg.norm(all_rows, axis=1, keepdims=True)
    return random.permutation(all_rows.astype(np.float32))


pytestmark = pytest.mark.torch


def test_the_worked_example() -> None:
    found = find_neighbours([THREE])
    assert found.distance == pytest.approx([0.8, 0.4, 0.4])
    assert found.distance.mean() == pytest.approx(0.533333, abs=1e-6)
    assert found.nearest.tolist() == [2, 2, 1]
    assert found.repeats.tolist() == [0, 0, 0]


def test_a_copy_has_distance_0_and_repeats_the_row() -> None:
    found = find_neighbours([np.concatenate([THREE, THREE[2:]])])
    assert found.distance == pytest.approx([0.8, 0.4, 0, 0])
    assert found.distance[2:].tolist() == [0, 0]
    assert found.nearest.tolist() == [2, 2, 3, 2]
    assert found.repeats.tolist() == [0, 0, 1, 1]


def test_it_is_the_same_as_a_plain_search() -> None:
    vectors = cloud(2400, 300, 200)
    products = vectors.astype(np.float64) @ vectors.astype(np.float64).T
    np.fill_diagonal(products, -1)
    found = find_neighbours([vectors])
    assert found.distance == pytest.approx(2 - 2 * products.max(1), abs=1e-6)
    assert found.repeats.tolist() == (2 - 2 * products < NEAR_DISTANCE).sum(1).tolist()
    difference = vectors.astype(np.float64) - vectors[found.nearest]
    assert found.distance == pytest.approx((difference**2).sum(1), abs=1e-12)


def test_panels_make_no_difference() -> None:
    vectors = cloud(1300, 100, 60)
    whole, cut = find_neighbours([vectors]), find_neighbours([vectors[:1], vectors[1:700], vectors[700:]])
    assert cut.distance.tolist() == whole.distance.tolist()
    assert cut.nearest.tolist() == whole.nearest.tolist()
    assert cut.repeats.tolist() == whole.repeats.tolist()


def test_rows_that_share_a_vector_are_as_near_as_rows_with_copies_of_it() -> None:
    vectors = cloud(300, 30, 10)
    vector_of = np.random.default_rng(1).permutation(np.concatenate([np.arange(340), np.arange(50, 120)]))
    shared, copied = (
        find_neighbours([vectors[:200], vectors[200:]], vector_of=vector_of),
        find_neighbours([vectors[vector_of]]),
    )
    assert shared.distance == pytest.approx(copied.distance, abs=1e-12)
    assert shared.nearest.tolist() == copied.nearest.tolist()
    assert shared.repeats.tolist() == copied.repeats.tolist()


@pytest.mark.usefixtures("ray_local")
def test_tasks_on_ray_find_the_same() -> None:
    import ray

    from pipelines.operators.similarity.ray_map import ray_map

    vectors = cloud(500, 50, 20)
    spread = find_neighbours([ray.put(part) for part in np.array_split(vectors, 2)], ray_map)
    whole = find_neighbours([vectors])
    assert spread.distance.tolist() == whole.distance.tolist()
    assert spread.repeats.tolist() == whole.repeats.tolist()


def test_a_row_that_is_repeated_often_counts_as_many_as_a_search_for_500_sees() -> None:
    found = find_neighbours([np.concatenate([np.tile(THREE[0], (600, 1)), THREE[1:2]])])
    assert found.repeats.tolist() == [MAX_REPEATS] * 600 + [0]
    assert set(found.distance[:600]) == {0}
    assert (found.nearest[0], found.nearest[1], found.nearest[599]) == (1, 0, 0)


def test_a_set_of_copies_alone_has_no_distances_but_0() -> None:
    assert find_neighbours([np.tile(THREE[0], (3, 1))]).distance.tolist() == [0, 0, 0]


def test_one_row_has_no_neighbours() -> None:
    with pytest.raises(ValueError, match="fewer than two"):
        find_neighbours([THREE[:1]])


@pytest.mark.parametrize("bad", [0.0, 2.0, np.nan])
def test_only_unit_vectors_are_compared(bad: float) -> None:
    with pytest.raises(ValueError, match="unit vectors"):
        find_neighbours([THREE * np.float32(bad)])
