"""Replies of judges: labels, scores, categories, names of methods."""

from __future__ import annotations

from collections import Counter
from statistics import fmean

import pytest

import prompts
from prompts.parse import Reply


def test_worked_example_of_levels() -> None:
    replies = [prompts.parse("difficulty_label", text) for text in ("hard", "Hard", "very hard.", "medium")]
    assert Counter(reply.value for reply in replies) == {"hard": 2, "medium": 1, "very hard": 1}
    assert [reply.outcome for reply in replies] == ["accepted", "repaired:label", "repaired:label", "accepted"]


def test_worked_example_of_scores() -> None:
    replies = [prompts.parse("difficulty_score", text) for text in ("70", " 80 ", "high")]
    assert fmean(float(reply.value) for reply in replies if reply.value is not None) == 75.0
    assert replies[2] == Reply(None, "rejected:not_a_number")


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "empty"),
        ("70 of 90", "not_a_number"),
        ("nan", "not_a_number"),
        ("inf", "not_a_number"),
        ("101", "out_of_range"),
        ("-1", "out_of_range"),
    ],
)
def test_a_score_is_a_number_in_its_range_and_nothing_else(reply: str, reason: str) -> None:
    assert prompts.parse("difficulty_score", reply).reason == reason


def test_the_prompt_offers_exactly_the_categories() -> None:
    text = prompts.get("category").text
    assert ", ".join(prompts.CATEGORIES) in text
    assert [prompts.parse("category", name).outcome for name in prompts.CATEGORIES] == ["accepted"] * 12


def test_a_category_may_be_spelt_with_capitals_and_a_stop() -> None:
    assert prompts.parse("category", " Data Analysis.\n") == Reply("data analysis", "repaired:label")
    assert prompts.parse("category", "It is coding").reason == "not_a_category"
    assert prompts.parse("category", " ").reason == "empty"


def test_names_of_methods_are_compared_without_case_and_quotes() -> None:
    names = [
        prompts.parse("keyword", text).value
        for text in ("Add constraints", '"add  constraints."', "**Add Constraints**")
    ]
    assert names == ["add constraints"] * 3
    assert prompts.parse("keyword", "It adds a constraint to what the instruction asks for").reason == "not_a_name"
    assert prompts.parse("keyword", "one\ntwo").reason == "not_a_name"
    assert prompts.parse("keyword", ' "." ').reason == "empty"


@pytest.mark.parametrize(
    "reply",
    [
        "Step 1:\n#Methods List#:\n1. Add a limit.\n\n2. Ask for reasons.\nStep 2:\n#Plan#:\nBoth.",
        "#Methods List#:\n  1. Add a limit.\n2. Ask for reasons.\n\n#Plan#:\nStep 1 of the plan",
        "**Step 1: Methods list**\n1. Add a limit.\n2. Ask for reasons.\n**Step 2** ...",
    ],
)
def test_methods_are_the_lines_before_the_second_step(reply: str) -> None:
    assert prompts.method_lines(reply) == ["1. Add a limit.", "2. Ask for reasons."]


@pytest.mark.parametrize("reply", ["", "1. Add a limit.", "#Methods List#:\n\n#Plan#:\nNothing."])
def test_without_a_list_there_are_no_methods(reply: str) -> None:
    assert prompts.method_lines(reply) == []
