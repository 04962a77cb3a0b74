"""Scores over tasks, and their intervals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pipelines.results.report.data.comparisons import mean_interval
from pipelines.results.report.data.seeds import mean_over_seeds
from pipelines.results.report.data.task_scores import TaskScores


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


@pytest.mark.parametrize("count", [1, 5, 60])
def test_equal_points_of_all_tasks_leave_wilsons_interval(count: int) -> None:
    for share in (0, 1):
        scores = marks([share * 2.0] * count, points=2.0)
        wilson = stats.binomtest(share * count, count).proportion_ci(method="wilson")
        expected = pytest.approx((100 * wilson.low, 100 * wilson.high), abs=1e-9)
        assert scores.interval() == expected
        assert mean_interval([(scores,), (scores,)]) == expected
        if count > 1:
            over_seeds = mean_over_seeds([scores.value] * 2, (scores, scores))
            assert (over_seeds.low, over_seeds.high) == mean_interval([(scores, scores)]) == expected
