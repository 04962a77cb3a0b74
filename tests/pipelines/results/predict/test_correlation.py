"""Spearman's rho: worked examples, an independent formula, and what is undefined stays so."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from pipelines.results.predict.correlation import CORRELATION_RESAMPLES, correlate, spearman


@pytest.mark.parametrize(
    ("metric", "measured", "rho"),
    [
        ([1, 2, 3, 4], [1, 3, 2, 4], 0.8),
        ([1, 2, 2, 4], [1, 2, 3, 4], 0.948683),
        ([1, 2, 3], [30, 20, 10], -1.0),
    ],
)
def test_the_worked_examples(metric: list[float], measured: list[float], rho: float) -> None:
    assert spearman(metric, measured) == pytest.approx(rho, abs=1e-6)


def test_a_constant_side_is_undefined_and_not_0() -> None:
    assert math.isnan(spearman([1, 1, 1], [1, 2, 3]))
    assert math.isnan(spearman([1, 2, 3], [5, 5, 5]))
    assert math.isnan(spearman([1], [1]))
    assert math.isnan(spearman([], []))


def test_it_is_scipy_s() -> None:
    random = np.random.default_rng(3)
    for _ in range(20):
        one, other = random.integers(0, 6, 12).tolist(), random.standard_normal(12).tolist()
        assert spearman(one, other) == pytest.approx(float(stats.spearmanr(one, other).statistic))


def test_the_interval_is_seeded_and_holds_rho() -> None:
    random = np.random.default_rng(4)
    metric = random.standard_normal(19)
    measured = metric + random.standard_normal(19)
    found = correlate(metric.tolist(), measured.tolist())
    assert found == correlate(metric.tolist(), measured.tolist())
    assert found != correlate(metric.tolist(), measured.tolist(), seed=1)
    assert -1 <= found.low < found.rho < found.high <= 1
    assert found.n == 19 and found.undefined == 0


def test_the_interval_is_the_percentiles_of_rho_over_resampled_points() -> None:
    metric, measured = [1.0, 4.0, 2.0, 5.0, 3.0], [2.0, 3.0, 1.0, 5.0, 4.0]
    drawn = np.random.default_rng(7).integers(0, 5, (CORRELATION_RESAMPLES, 5))
    rhos = [spearman([metric[i] for i in row], [measured[i] for i in row]) for row in drawn]
    known = [rho for rho in rhos if not math.isnan(rho)]
    found = correlate(metric, measured, seed=7)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(known, [2.5, 97.5])))
    assert found.undefined == CORRELATION_RESAMPLES - len(known)


def test_resamples_of_one_point_alone_are_counted_and_leave_no_interval_if_they_are_many() -> None:
    found = correlate([1, 2], [1, 2])
    assert found.rho == 1 and math.isnan(found.low) and math.isnan(found.high)
    assert 0.4 * CORRELATION_RESAMPLES < found.undefined < 0.6 * CORRELATION_RESAMPLES


@pytest.mark.parametrize("values", [[1.0, 1.0, 1.0], [2.0], []])
def test_where_rho_is_undefined_so_is_the_interval(values: list[float]) -> None:
    found = correlate(values, list(range(len(values))))
    assert math.isnan(found.rho) and math.isnan(found.low) and math.isnan(found.high)
    assert found.undefined == CORRELATION_RESAMPLES


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        correlate([1, math.nan, 3], [1, 2, 3])


def test_a_side_that_is_nearly_constant_has_a_rho_and_no_interval() -> None:
    found = correlate([1, 2, 3, 4, 5, 6, 7, 8], [0, 0, 0, 0, 0, 0, 0, 1])
    assert found.rho > 0 and found.undefined > 100
    assert math.isnan(found.low) and math.isnan(found.high)
