"""Which method is selected: the lowest failure rate (paper), or the best score that loses nothing (authors' code)."""

from __future__ import annotations

from collections import Counter

import pytest

from pipelines.operators.evolve.candidate_ranking import (
    CandidateScore,
    DevResult,
    measure,
    published_calls,
    select_best,
)
from pipelines.study.spec.instructions.evolution import Optimization


def with_rate(rate: float, score: float = 0.0) -> CandidateScore:
    return CandidateScore(50, Counter({"stagnant": round(rate * 50)}), score)


def test_three_failures_of_fifty() -> None:
    good, bad = DevResult("Ask.", "42"), DevResult("Ask.", "Sure, which one?")
    measured = measure([bad] * 2 + [DevResult(None)] + [good] * 47, "paper")
    assert measured.failure_rate == pytest.approx(0.06)
    assert measured.failures == {"unqualified": 2, "unreadable": 1}


def test_the_earlier_of_two_lowest_rates_is_chosen() -> None:
    candidates = [with_rate(rate) for rate in (0.10, 0.06, 0.06, 0.12, 0.08)]
    assert select_best(candidates, with_rate(0.2), "paper") == 1


@pytest.mark.parametrize("current", [0.06, 0.04])
def test_a_rate_that_does_not_fall_keeps_the_current_method(current: float) -> None:
    assert select_best([with_rate(0.10), with_rate(0.06)], with_rate(current), "paper") is None


def test_without_candidates_the_current_method_stays() -> None:
    assert select_best([], with_rate(0.5), "paper") is None and select_best([], with_rate(0.5), "authors") is None


def test_the_authors_score_is_success_times_the_ratio_of_lengths() -> None:
    trials = [
        DevResult("a" * 10, "b" * 30),
        DevResult("a" * 30, "b" * 50),
        DevResult("aa" * 10, "Sure?"),
        DevResult(None),
    ]
    measured = measure(trials, "authors")
    assert measured.score == pytest.approx(0.5 * (85 / 3) / 20)


def test_the_authors_take_the_best_score_that_does_not_succeed_less_often() -> None:
    current = with_rate(0.10, 2.0)
    candidates = [with_rate(0.20, 9.0), with_rate(0.10, 2.5), with_rate(0.02, 3.0), with_rate(0.02, 3.0)]
    assert select_best(candidates, current, "authors") == 2
    assert select_best([with_rate(0.02, 1.9), with_rate(0.20, 9.0)], current, "authors") is None
    assert select_best([with_rate(0.10, 2.0)], current, "authors") == 0


def test_the_calls_of_the_published_runs() -> None:
    assert published_calls(Optimization(optimizer="any")) == 6_120
