"""Thresholds of the paper, of its code and of the port, at and beside their edges."""

from __future__ import annotations

import pytest

from pipelines.operators.autoif.thresholds import PAPER_THRESHOLDS, THRESHOLDS


@pytest.mark.parametrize(
    ("rules", "bar", "passes", "fails"),
    [
        ("paper", "case", 0.51, 0.5),
        ("code", "case", 0.01, 0.0),
        ("port", "case", 0.01, 0.0),
        ("paper", "function", 0.51, 0.5),
        ("code", "function", 4 / 5, 0.79),
        ("port", "function", 4 / 5, 0.79),
        ("paper", "response", 0.51, 0.5),
        ("code", "response", 0.01, 0.0),
        ("paper", "chosen", 0.51, 0.5),
        ("code", "chosen", 0.5, 0.49),
        ("paper", "score", 8, 7.9),
        ("code", "score", 8.1, 8),
    ],
)
def test_a_bar_passes_what_reaches_it_and_nothing_below(rules: str, bar: str, passes: float, fails: float) -> None:
    found = getattr(THRESHOLDS[rules], bar)
    assert (found.passes(passes), found.passes(fails)) == (True, False)


def test_the_paper_is_the_default_and_needs_one_function_and_one_case_but_its_code_three_and_ten() -> None:
    assert PAPER_THRESHOLDS is THRESHOLDS["paper"]
    assert {name: (rules.functions, rules.cases, rules.min_score) for name, rules in THRESHOLDS.items()} == {
        "paper": (1, 1, 1),
        "code": (3, 10, 0),
        "port": (1, 1, 0),
    }
