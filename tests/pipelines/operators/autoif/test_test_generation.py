"""Functions and cases are read from replies strictly: accepted, repaired by a named rule, or rejected with a reason."""

from __future__ import annotations

import json
import random

import pytest

from actors.engine import Generation
from pipelines.operators.autoif.test_generation import (
    VerificationCase,
    distinct_cases,
    parse_generated_tests,
    read_generated_tests,
)

SOURCE = "def evaluate(response):\n    return 'e' not in response"
CASES = [{"input": "sky", "output": True}, {"input": "tree", "output": False}]


def reply(func: object = SOURCE, cases: object = CASES) -> str:
    return json.dumps({"func": func, "cases": cases})


def fenced(body: str) -> str:
    return f"Here it is.\n```json\n{body}\n```\nGood luck."


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        (fenced(reply()), "accepted"),
        (reply(), "repaired:bare_json"),
        (f"```\n{reply()}\n```", "repaired:plain_fence"),
        (fenced(reply(f"import requests\n{SOURCE}")), "repaired:network_lines"),
        (fenced(reply(f"{SOURCE}\nnltk.download('punkt')")), "repaired:network_lines"),
        (fenced(reply(cases=[*CASES, {"input": "no label"}])), "repaired:malformed_cases"),
        (reply(cases=[*CASES, "no case", {"input": 3, "output": True}]), "repaired:bare_json+malformed_cases"),
    ],
)
def test_a_function_with_its_cases_is_found_and_what_was_repaired_is_named(text: str, outcome: str) -> None:
    found = parse_generated_tests(text)
    assert found.outcome == outcome
    assert found.value is not None
    assert found.value.source == SOURCE
    assert found.value.cases == (VerificationCase("sky", True), VerificationCase("tree", False))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not_json"),
        ("I can not do that.", "not_json"),
        (fenced('{"func": "x", "cases": [{"input": "a", "output": True}]}'), "not_json"),
        (fenced('{"func": "x", "func": "y", "cases": []}'), "not_json"),
        (fenced(reply() + reply()), "not_json"),
        (fenced("[" * 100_000), "not_json"),
        (fenced("null"), "not_json"),
        (fenced("[1]"), "not_an_object"),
        (fenced(reply(func=None)), "no_function"),
        (fenced(reply(func=" \n")), "no_function"),
        (fenced(reply(func="x = '\ud800'")), "no_function"),
        (fenced(reply(cases=None)), "no_cases"),
        (fenced(reply(cases={"input": "a", "output": True})), "no_cases"),
    ],
)
def test_what_is_no_function_with_cases_is_rejected_with_a_reason(text: str, reason: str) -> None:
    assert parse_generated_tests(text).outcome == f"rejected:{reason}"


def test_a_case_that_is_no_text_that_can_be_sent_is_left_out() -> None:
    found = parse_generated_tests(fenced(reply(cases=[*CASES, {"input": "\udfff", "output": True}])))
    assert found.value is not None
    assert len(found.value.cases) == 2


def test_thoughts_before_the_answer_are_taken_away_and_a_reply_that_was_cut_off_is_rejected() -> None:
    text = "<think>```json\n{}\n```</think>" + fenced(reply())
    assert read_generated_tests(Generation("a", text, "stop", 1, 1)).outcome == "repaired:thinking"
    assert read_generated_tests(Generation("a", "<think>well", "stop", 1, 1)).outcome == "rejected:unfinished_thinking"
    assert read_generated_tests(Generation("a", "<think>a</think> ", "stop", 1, 1)).outcome == "rejected:empty"
    assert read_generated_tests(Generation("a", fenced(reply()), "length", 1, 1)).outcome == "rejected:truncated"


def test_cases_are_the_same_only_with_the_same_label_of_the_same_type() -> None:
    cases = [
        VerificationCase("a", True),
        VerificationCase("a", 1),
        VerificationCase("a", "true"),
        VerificationCase("a", True),
        VerificationCase("b", True),
    ]
    assert [(case.response, case.label) for case in distinct_cases(cases)] == [
        ("a", True),
        ("a", 1),
        ("a", "true"),
        ("b", True),
    ]


def test_every_reply_has_an_outcome() -> None:
    draw = random.Random(0)
    whole = fenced(reply())
    for _ in range(2000):
        start, end = sorted(draw.sample(range(len(whole)), 2))
        found = parse_generated_tests(
            whole[:start] + draw.choice(["", "{", '"', "\\", "null", "```", "\ud800"]) + whole[end:]
        )
        assert (found.value is None) == found.outcome.startswith("rejected:")
