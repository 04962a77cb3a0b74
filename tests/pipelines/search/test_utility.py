"""The scale on which scores are compared."""

from __future__ import annotations

import math

import pytest

from pipelines.search.space import Cell, Evidence, SearchSettings, SearchSpace
from pipelines.search.utility import margin, to_score, utilities

GRID = SearchSpace(("s", "t"), ("a", "b", "c"))
LOWER = SearchSettings(higher_is_better=False)
LINEAR = SearchSettings(scale="linear", epsilon=0.5)


def evidence(**scores: float) -> Evidence:
    """Scores by the student's and the arm's letter."""
    return Evidence({Cell(*name): score for name, score in scores.items()})


def test_the_margin_is_the_distance_of_a_score_that_is_worse_by_epsilon() -> None:
    found = utilities(GRID, evidence(sa=10.0, sb=9.5), SearchSettings(epsilon=0.05))
    assert found[0, 0] - found[0, 1] == pytest.approx(margin(SearchSettings(epsilon=0.05)))
    found = utilities(GRID, evidence(sa=10.0, sb=9.5), LINEAR)
    assert found[0, 0] - found[0, 1] == pytest.approx(margin(LINEAR))


def test_cells_without_a_finite_score_have_no_utility() -> None:
    found = utilities(GRID, evidence(sa=10.0, sb=math.nan, tc=math.inf), SearchSettings())
    assert [math.isfinite(value) for value in found.ravel()] == [True, False, False, False, False, False]


def test_a_score_of_zero_is_bad_and_finite() -> None:
    found = utilities(GRID, evidence(sa=10.0, sb=0.0, ta=0.0, tb=0.0), SearchSettings())
    assert found[0, 1] == pytest.approx(math.log(0.1))
    assert found[1, 0] == found[1, 1]
    assert math.isfinite(found[1, 0])


@pytest.mark.parametrize("settings", [SearchSettings(), LOWER])
def test_the_smallest_numbers_have_finite_utilities(settings: SearchSettings) -> None:
    found = utilities(GRID, evidence(sa=5e-324, sb=0.0, ta=1e-310, tb=0.0), settings)
    assert all(map(math.isfinite, found[:, :2].ravel()))


def test_where_lower_is_better_zero_is_the_best() -> None:
    found = utilities(GRID, evidence(sa=0.0, sb=4.0, sc=1e9), LOWER)
    assert found[0, 0] > found[0, 1] > found[0, 2]
    assert found[0, 0] - found[0, 2] == pytest.approx(math.log(100))


def test_a_negative_score_needs_the_linear_scale() -> None:
    with pytest.raises(ValueError, match=r"-3 is negative.*'linear'"):
        utilities(GRID, evidence(sa=-3.0), SearchSettings())
    found = utilities(GRID, evidence(sa=-3.0, sb=-2.5), LINEAR)
    assert found[0, 1] > found[0, 0]


@pytest.mark.parametrize("settings", [SearchSettings(), LOWER, LINEAR])
def test_utilities_become_scores_again(settings: SearchSettings) -> None:
    found = utilities(GRID, evidence(sa=12.5, sb=11.0), settings)
    assert to_score(float(found[0, 0]), settings) == pytest.approx(12.5)


def test_a_cell_of_another_grid_is_an_error() -> None:
    with pytest.raises(ValueError, match="x, a is not a cell"):
        utilities(GRID, evidence(xa=1.0), SearchSettings())
