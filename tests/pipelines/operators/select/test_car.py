"""CAR by its worked examples: which data set is the better one at which beta, and what negative rewards do."""

from __future__ import annotations

import math

import pytest

from pipelines.operators.select.car import car, cars, selection_warning
from pipelines.study.spec.pairs.scoring import RewardMode


@pytest.mark.parametrize(
    ("reward", "loss", "beta", "expected"),
    [
        (2, 1, 1, 1.0),
        (2, 0.5, 1, 1.333333),
        (3, 2, 1, 1.0),
        (3, 2, 3, 0.428571),
        (2, 0.5, 3, 0.8),
        (2, 0.5, 0, 2.0),
        (-3.5, 7, 0, -3.5),
        (2.5, 0, 4, 2.5),
        (-2, 1, 1, -1.0),
        (-2, 3, 1, -0.5),
    ],
)
def test_worked_examples(reward: float, loss: float, beta: float, expected: float) -> None:
    assert car(reward, loss, beta) == pytest.approx(expected, abs=1e-6)


def test_the_better_set_changes_at_the_beta_where_both_are_equal() -> None:
    rewarded, easy = (3.0, 2.0), (2.0, 0.5)
    at = {beta: cars([rewarded, easy], beta) for beta in (0.0, 0.39, 0.4, 0.41, 3.0)}
    assert at[0.4] == pytest.approx([1.666667, 1.666667], abs=1e-6)
    assert [first > second for first, second in (at[beta] for beta in (0.0, 0.39))] == [True, True]
    assert [first < second for first, second in (at[beta] for beta in (0.41, 3.0))] == [True, True]


@pytest.mark.parametrize("mode", ["shift", "sigmoid"])
def test_a_larger_loss_never_raises_car_of_a_negative_reward_in_other_modes(mode: RewardMode) -> None:
    easy, hard, low = cars([(-2, 1), (-2, 3), (-5, 1)], 1.0, mode)
    assert easy > hard >= low >= 0
    raw = cars([(-2, 1), (-2, 3)], 1.0)
    assert raw[0] < raw[1], "the formula as published goes the wrong way"


def test_shift_subtracts_the_least_reward_of_those_compared() -> None:
    assert cars([(-2, 1), (1, 1), (4, 0)], 1.0, "shift") == [0.0, 1.5, 6.0]
    assert cars([], 1.0, "shift") == []


def test_sigmoid_of_any_reward_is_a_number_between_0_and_1() -> None:
    assert car(0.0, 0.0, 1.0, "sigmoid") == 0.5
    assert car(2.0, 1.0, 1.0, "sigmoid") == pytest.approx(1 / (1 + math.exp(-2)) / 2)
    assert [car(reward, 0.0, 1.0, "sigmoid") for reward in (-1e4, 1e4)] == [0.0, 1.0]


def test_negative_rewards_are_warned_of_where_they_turn_the_formula_round() -> None:
    assert selection_warning([1.0, -0.1, -2.0], "raw").startswith("2 of 3 rewards are negative")
    assert (
        selection_warning([1.0, 0.0], "raw")
        == selection_warning([-1.0], "shift")
        == selection_warning([-1.0], "sigmoid")
        == ""
    )


@pytest.mark.parametrize(("loss", "beta"), [(-0.1, 1.0), (1.0, -1.0)])
def test_a_negative_loss_or_beta_is_an_error(loss: float, beta: float) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        car(1.0, loss, beta)
