"""Comparisons over tasks and seeds: intervals that cover, and tests that know luck from skill."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pipelines.results.report.data.comparisons import difference
from pipelines.results.report.data.seeds import Runs, mean_over_seeds
from pipelines.results.report.data.task_scores import TaskScores

TASKS = 120
SIMULATIONS = 600


def marks(values: list[float]) -> TaskScores:
    return TaskScores({str(i): v for i, v in enumerate(values)}, {str(i): 1.0 for i in range(len(values))})


def test_the_p_value_of_wins_and_losses_is_that_of_the_exact_sign_test() -> None:
    first, second = [1.0] * 9 + [0.0] * 2 + [1.0] * 30, [0.0] * 9 + [1.0] * 2 + [1.0] * 30
    found = difference([((marks(first),), (marks(second),))])
    assert found is not None
    assert found.points == pytest.approx(100 * 7 / 41)
    assert found.p == pytest.approx(stats.binomtest(9, 11).pvalue, abs=0.02)
    assert found.low < found.points < found.high


def test_equal_scores_differ_by_nothing() -> None:
    found = difference([((marks([1, 0, 1]),), (marks([1, 0, 1]),))])
    assert found is not None and (found.points, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_only_shared_tasks_are_compared() -> None:
    some = TaskScores({"0": 1.0, "9": 0.0}, {"0": 1.0, "9": 1.0})
    found = difference([((some,), (marks([0.0, 1.0, 1.0]),))])
    assert found is not None and found.points == 100.0
    assert difference([((TaskScores({"9": 1.0}, {"9": 1.0}),), (marks([1.0]),))]) is None


def test_the_same_tasks_in_many_pairs_do_not_make_luck_certain() -> None:
    rng = np.random.default_rng(3)
    first, second = ((marks([float(v) for v in rng.integers(0, 2, 40)]),) for _ in range(2))
    one, many = difference([(first, second)]), difference([(first, second)] * 25)
    assert one is not None and many is not None and many.p == pytest.approx(one.p) and many.points == one.points


def simulate(rng: np.random.Generator, ease: np.ndarray, count: int, seed_noise: float) -> Runs:
    """Runs of a model that solves a task with a probability which the task and the run's seed change."""
    logits = ease[None, :] + rng.normal(0, seed_noise, (count, 1))
    solved = rng.random((count, len(ease))) < 1 / (1 + np.exp(-logits))
    return tuple(marks([float(one) for one in row]) for row in solved)


@pytest.mark.parametrize(("runs", "seed_noise"), [(3, 0.5), (3, 0.0), (2, 0.5)])
def test_equal_recipes_differ_by_chance_only_as_often_as_the_p_value_says(runs: int, seed_noise: float) -> None:
    rng, rejected = np.random.default_rng(5), 0
    for _ in range(SIMULATIONS):
        ease = rng.normal(0, 1.5, TASKS)
        found = difference([(simulate(rng, ease, runs, seed_noise), simulate(rng, ease, runs, seed_noise))])
        assert found is not None and (found.p < 0.05) == (found.low > 0 or found.high < 0)
        rejected += found.p < 0.05
    assert rejected / SIMULATIONS <= (0.08 if runs > 2 else 0.1)


def test_one_run_of_each_takes_the_noise_of_trainings_for_an_effect() -> None:
    rng, rejected = np.random.default_rng(5), 0
    for _ in range(60):
        ease = rng.normal(0, 1.5, TASKS)
        found = difference([(simulate(rng, ease, 1, 0.8), simulate(rng, ease, 1, 0.8))])
        rejected += found is not None and found.p < 0.05
    assert rejected / 60 > 0.2


def test_a_real_effect_is_found_over_seeds() -> None:
    rng = np.random.default_rng(7)
    ease = rng.normal(0, 1.5, 400)
    found = difference([(simulate(rng, ease + 1.2, 3, 0.1), simulate(rng, ease, 3, 0.1))])
    assert found is not None and found.p < 0.01 and found.low < found.points < found.high


@pytest.mark.parametrize("seed_noise", [0.0, 0.6])
def test_the_interval_of_a_mean_over_seeds_covers_the_mean_of_all_seeds_and_tasks(seed_noise: float) -> None:
    rng, covered = np.random.default_rng(11), 0
    long_run = simulate(np.random.default_rng(0), np.random.default_rng(1).normal(0.5, 1.5, 4000), 200, seed_noise)
    truth = float(np.mean([run.value for run in long_run]))
    for _ in range(SIMULATIONS):
        runs = simulate(rng, rng.normal(0.5, 1.5, TASKS), 3, seed_noise)
        mean = mean_over_seeds([run.value for run in runs], runs)
        covered += mean.low <= truth <= mean.high
    assert 0.9 <= covered / SIMULATIONS <= 0.995


def test_a_number_without_tasks_has_an_interval_over_seeds() -> None:
    mean = mean_over_seeds([10.0, 12.0, 14.0], ())
    margin = stats.t.ppf(0.975, 2) * 2 / 3**0.5
    assert (mean.value, mean.spread) == (12.0, 2.0)
    assert (mean.low, mean.high) == pytest.approx((12 - margin, 12 + margin))
