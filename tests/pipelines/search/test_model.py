"""The model of a grid, its leave-one-out residuals, and the cost of searches before anything is trained."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from pipelines.search.model import fit
from pipelines.search.ranks import normal_scores
from pipelines.search.simulate import draw_prior, simulate_cost
from pipelines.search.space import Cell, SearchSettings, SearchSpace

STUDENTS, ARMS = ("s", "t", "u"), tuple("abcdefgh")


def grid(**priors: np.ndarray) -> SearchSpace:
    """A grid with priors [students, arms]."""
    cells = {
        name: {
            Cell(student, arm): float(values[row, column])
            for row, student in enumerate(STUDENTS)
            for column, arm in enumerate(ARMS)
        }
        for name, values in priors.items()
    }
    return SearchSpace(STUDENTS, ARMS, cells)


def made_up(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Utilities that a prior explains, and the prior; a third of the utilities are unknown."""
    rng = np.random.default_rng(seed)
    prior = rng.standard_normal((3, 8))
    utility = np.array([[1.0], [2.0], [3.0]]) + 0.5 * prior + 0.1 * rng.standard_normal((3, 8))
    utility.ravel()[::3] = math.nan
    return utility, prior


def test_left_out_predictions_are_those_of_a_model_without_the_cell() -> None:
    utility, prior = made_up()
    space = grid(car=prior)
    whole = fit(space, utility)
    for place in np.argwhere(np.isfinite(utility)):
        without = utility.copy()
        without[tuple(place)] = math.nan
        assert whole.left_out[tuple(place)] == pytest.approx(fit(space, without).expected[tuple(place)], abs=0.01)


def test_a_good_prior_gets_the_weight_and_a_useless_one_little() -> None:
    utility, prior = made_up()
    useless = np.random.default_rng(9).standard_normal(prior.shape)
    weights = fit(grid(car=prior, length=useless), utility).weights
    assert weights["car"] > 0.2
    assert abs(weights["length"]) < 0.15


def test_an_arm_that_is_good_for_other_students_is_expected_to_be_good() -> None:
    utility = np.full((3, 8), 1.0)
    utility[:, 0] = 2.0
    utility[2] = [math.nan, *[1.0] * 2, *[math.nan] * 5]
    found = fit(grid(), utility)
    assert found.effects["a"] > 0.3
    assert found.expected[2].argmax() == 0


def test_nothing_measured_gives_the_assumed_scale() -> None:
    found = fit(grid(), np.full((3, 8), math.nan))
    assert (found.scale, found.freedom) == (pytest.approx(0.25), 6)


def test_the_only_cell_of_a_student_says_nothing_of_residuals() -> None:
    utility = np.full((3, 8), math.nan)
    utility[:, 0] = (1.0, 50.0, 900.0)
    found = fit(grid(), utility)
    assert found.freedom == 6
    assert np.isnan(found.left_out).all()


def test_normal_scores_depend_on_the_order_only() -> None:
    values = np.array([3.0, -1.0, math.nan, 10.0, 3.0])
    scores = normal_scores(values)
    assert scores == pytest.approx(normal_scores(np.exp(values)))
    assert scores[0] == scores[4]
    assert (scores[2], np.nanmean(scores)) == (0, pytest.approx(0))
    assert normal_scores(np.array([2.0, 2.0])).tolist() == [0, 0]


def test_a_drawn_prior_has_its_rank_correlation() -> None:
    from scipy import stats

    rng = np.random.default_rng(0)
    utility = rng.standard_normal(4000)
    assert stats.spearmanr(utility, draw_prior(utility, 0.7, rng)).statistic == pytest.approx(0.7, abs=0.03)


def test_a_better_prior_costs_fewer_trainings() -> None:
    space, settings = SearchSpace(STUDENTS, tuple("abcdefghijkl")), SearchSettings(seeds=2)
    good, poor = (simulate_cost(space, settings, rho, repetitions=20) for rho in (0.95, 0.3))
    assert (good.grid, good.least, good.most) == (36, 12, 42)
    assert good.least <= good.low <= good.mean <= good.high <= good.most
    assert good.mean < 0.8 * poor.mean
    assert simulate_cost(space, settings, 0.95, repetitions=20) == good


def test_costs_of_small_grids_are_defined() -> None:
    one = simulate_cost(SearchSpace(("s",), ("a",)), SearchSettings(), repetitions=3)
    assert (one.least, one.mean, one.most) == (1, 1, 1)
    two = simulate_cost(SearchSpace(("s",), ("a", "b")), SearchSettings(per="all", seeds=3), repetitions=3)
    assert (two.least, two.mean, two.most) == (6, 6, 6)


def test_errors_name_the_value() -> None:
    space = SearchSpace(("s",), ("a",))
    with pytest.raises(ValueError, match="rho is 2"):
        simulate_cost(space, SearchSettings(), rho=2.0)
    with pytest.raises(ValueError, match="epsilon is 1"):
        SearchSettings(epsilon=1.0)
    with pytest.raises(ValueError, match="risk is 1"):
        SearchSettings(risk=1.0)
    with pytest.raises(ValueError, match="repeated names of arms"):
        SearchSpace(("s",), ("a", "a"))
    with pytest.raises(ValueError, match="of the prior 'car' is not a cell"):
        SearchSpace(("s",), ("a",), {"car": {Cell("s", "z"): 1.0}})
    assert replace(SearchSettings(scale="linear"), epsilon=3.0).epsilon == 3.0
