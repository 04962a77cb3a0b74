"""Scores over tasks: intervals that cover, and tests that know luck from skill."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pipelines.results.report.data.task_scores import TaskScores, difference


def marks(values: list[float], points: float = 1.0) -> TaskScores:
    return TaskScores({str(i): v for i, v in enumerate(values)}, {str(i): points for i in range(len(values))})


def test_a_score_is_the_share_of_points_and_not_the_mean_of_shares() -> None:
    # IFEval: [[T, F], [T, T]] is 50.0 by prompt, 75.0 by instruction; of unequal prompts every instruction counts once
    assert marks([0, 1]).value == 50.0
    assert TaskScores({"a": 1, "b": 2}, {"a": 2, "b": 2}).value == 75.0
    assert TaskScores({"a": 0, "b": 3}, {"a": 1, "b": 3}).value == 75.0


def test_the_interval_is_that_of_the_bootstrap_library() -> None:
    values = [float(v) for v in np.random.default_rng(1).integers(0, 2, 200)]
    reference = stats.bootstrap((values,), np.mean, n_resamples=9999, method="percentile", rng=1).confidence_interval
    low, high = marks(values).interval()
    assert low == pytest.approx(100 * reference.low, abs=1.5) and high == pytest.approx(100 * reference.high, abs=1.5)


def test_the_p_value_of_wins_and_losses_is_that_of_the_exact_sign_test() -> None:
    first, second = [1.0] * 9 + [0.0] * 2 + [1.0] * 30, [0.0] * 9 + [1.0] * 2 + [1.0] * 30
    found = difference([(marks(first), marks(second))])
    assert found is not None
    assert found.points == pytest.approx(100 * 7 / 41)
    assert found.p == pytest.approx(stats.binomtest(9, 11).pvalue, abs=0.02)
    assert found.low < found.points < found.high


def test_equal_scores_differ_by_nothing() -> None:
    found = difference([(marks([1, 0, 1]), marks([1, 0, 1]))])
    assert found is not None and (found.points, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_only_shared_tasks_are_compared() -> None:
    some = TaskScores({"0": 1.0, "9": 0.0}, {"0": 1.0, "9": 1.0})
    found = difference([(some, marks([0.0, 1.0, 1.0]))])
    assert found is not None and found.points == 100.0
    assert difference([(TaskScores({"9": 1.0}, {"9": 1.0}), marks([1.0]))]) is None


def test_the_same_tasks_in_many_pairs_do_not_make_luck_certain() -> None:
    rng = np.random.default_rng(3)
    first, second = (marks([float(v) for v in rng.integers(0, 2, 40)]) for _ in range(2))
    one, many = difference([(first, second)]), difference([(first, second)] * 25)
    assert one is not None and many is not None and many.p == pytest.approx(one.p) and many.points == one.points
