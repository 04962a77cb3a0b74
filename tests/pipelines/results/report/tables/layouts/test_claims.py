"""Claims of a study file: which numbers are paired, and what the paired test says of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.results.report.data.report import ReportData, Result
from pipelines.results.report.data.task_scores import TaskScores
from pipelines.results.report.page import render_html, render_markdown
from pipelines.results.report.tables.layouts.claims import JudgedClaim, judged_claims
from pipelines.results.report.tables.layouts.evidence import NumberPair, weigh
from pipelines.study.graph.build import build
from pipelines.study.inputs.published import Published
from pipelines.study.spec.presentation.claims import Claim
from tests.support.made_up_results import made_up_report
from tests.support.studies import STUDENTS, scripted_study

SMALLER = {"claim": "Smaller is better", "left": {"evolver": "small"}, "right": {"evolver": "large"}}
TASKS = 200


def report_of(claim: dict[str, Any], right: Callable[[Result], float], share: float = 1.0) -> ReportData:
    """A report whose students answer that share of the tasks rightly: the first of them."""
    study = scripted_study(**STUDENTS, claims=[claim])
    data = made_up_report(study, Path(), build(study, Path()), share)
    scores = {one: _scores(right(one)) for one in data.results}
    results = {replace(one, value=found.value): found for one, found in scores.items()}
    return replace(data, results=tuple(results), task_scores={one: (found,) for one, found in results.items()})


def _scores(share: float) -> TaskScores:
    earned = {f"world {task}": float(task < share * TASKS) for task in range(TASKS)}
    return TaskScores(earned, dict.fromkeys(earned, 1.0))


def judged(claim: dict[str, Any], right: Callable[[Result], float], share: float = 1.0) -> JudgedClaim:
    (found,) = judged_claims(report_of(claim, right, share))
    return found


@pytest.mark.parametrize(
    ("small", "verdict"), [(0.6, "supported"), (0.4, "contradicted"), (0.5, "not decided"), (0.505, "not decided")]
)
def test_the_mean_over_all_pairs_decides(small: float, verdict: str) -> None:
    found = judged(SMALLER, lambda one: small if one.evolver == "small" else 0.5)
    assert found.verdict == verdict
    assert found.planned == found.ours.pairs == 2 * 2 * 2  # rounds x teachers x students
    assert found.ours.difference == pytest.approx(100 * (small - 0.5))
    assert found.ours.over == "tasks"


def test_a_pair_differs_in_nothing_but_what_the_sides_name() -> None:
    found = judged({**SMALLER, "only": {"round": 2, "teacher": "large"}}, lambda one: 0.5)
    assert found.planned == 2
    assert judged({**SMALLER, "over": ["round"]}, lambda one: 0.5).planned == 2 * 4 * 4


def test_unevolved_seeds_are_compared_with_every_evolver_if_the_sides_name_both() -> None:
    claim = {"claim": "c", "left": {"round": 1}, "right": {"round": 0}, "over": ["student", "teacher"]}
    assert judged(claim, lambda one: 0.5 + 0.2 * (one.round == 1)).verdict == "supported"


def test_values_of_both_sides_are_compared_place_by_place() -> None:
    claim = {"claim": "c", "left": {"evolver": ["small", "large"]}, "right": {"evolver": ["large", "small"]}}
    found = judged(claim, lambda one: 0.7 if one.evolver == "small" else 0.5)
    assert found.verdict == "not decided"
    first, second = found.comparisons
    assert first.ours.difference == pytest.approx(20) and second.ours.difference == pytest.approx(-20)
    assert judged({**claim, "test": "any"}, lambda one: 0.7 if one.evolver == "small" else 0.5).verdict == "supported"


def test_any_comparison_is_corrected_for_their_number() -> None:
    claim = {"claim": "c", "left": {"round": [1, 1]}, "right": {"round": [2, 0]}, "test": "any", "over": "student"}
    found = judged(claim, lambda one: 0.5 if one.round else 0.475)
    (_, against_seeds) = found.comparisons
    assert against_seeds.ours.p is not None and against_seeds.ours.p > 0.025
    assert found.verdict == "not decided"


@pytest.mark.parametrize(
    ("sides", "message"),
    [
        ({"left": {"evolver": ["a", "b"]}, "right": {"evolver": ["a", "b", "c"]}}, "has 2 values"),
        ({"left": {"evolver": ["a", "b"], "round": [1, 2, 3]}, "right": {"round": 0}}, "different numbers of values"),
        ({"left": {"evolver": "a"}, "right": {"evolver": "a"}}, "are the same"),
    ],
)
def test_sides_that_do_not_fit_are_an_error(sides: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Claim.model_validate({"claim": "c", **sides})


def test_the_published_numbers_are_tested_by_the_same_rule() -> None:
    data = report_of(SMALLER, lambda one: 0.5)
    lines = [
        Published({"benchmark": "world", "evolver": evolver, "student": student, "round": number}, value, "T", line)
        for line, (evolver, student, number, value) in enumerate(
            (evolver, student, number, base + (evolver == "small") + int(number) / 10)
            for evolver in ("small", "large")
            for student, base in (("small", 20.0), ("large", 30.0))
            for number in ("1", "2")
        )
    ]
    (found,) = judged_claims(replace(data, published=tuple(lines)))
    assert (found.published.pairs, found.published.agree, found.published_verdict) == (4, 4, "supported")
    assert found.verdict == "not decided"


def test_without_results_nothing_is_decided_and_the_page_says_how_much_is_missing() -> None:
    data = report_of(SMALLER, lambda one: 0.5, share=0)
    data = replace(data, published=(Published({"benchmark": "world", "metric": "accuracy"}, 1.0, "T", 1),))
    for text in (render_html(data), render_markdown(data)):
        assert "Smaller is better" in text and "not decided" in text and "8 of 8 pairs are not there yet" in text


def test_numbers_without_tasks_are_weighed_over_pairs() -> None:
    two = weigh([NumberPair(3, 1), NumberPair(4, 1)])
    assert (two.pairs, two.agree, two.difference, two.p, two.verdict()) == (2, 2, 2.5, None, "not decided")
    three = weigh([NumberPair(3, 1), NumberPair(4, 1), NumberPair(3.5, 1)])
    assert three.over == "pairs" and three.verdict() == "supported" and three.low is not None and three.low > 0
    assert weigh([NumberPair(2, 1)] * 3).verdict() == "supported"
    assert weigh([NumberPair(1, 1)] * 3).verdict() == "not decided"


def test_metrics_of_the_same_answers_count_as_one_pair() -> None:
    metrics = [NumberPair(3 + number / 10, 1, source="student 1") for number in range(4)]
    one = weigh(metrics)
    assert (one.pairs, one.agree, one.difference, one.p) == (4, 4, pytest.approx(2.15), None)
    several = weigh([*metrics, NumberPair(1, 2, source="student 2"), NumberPair(2, 1, source="student 3")])
    assert several.difference == pytest.approx((2.15 - 1 + 1) / 3) and several.verdict() == "not decided"


def test_published_metrics_of_one_student_are_not_taken_for_several_students() -> None:
    data = report_of(SMALLER, lambda one: 0.5)
    lines = [
        Published({"benchmark": "world", "evolver": evolver, "student": "small", "metric": metric}, value, "T", line)
        for line, (evolver, metric, value) in enumerate(
            (evolver, metric, base + 5 * (evolver == "small"))
            for evolver in ("small", "large")
            for metric, base in (("accuracy", 20.0), ("other", 30.0), ("third", 31.0))
        )
    ]
    (found,) = judged_claims(replace(data, published=tuple(lines)))
    assert (found.published.pairs, found.published.p, found.published_verdict) == (3, None, "not decided")
