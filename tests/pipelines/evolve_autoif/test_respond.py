"""Responses are drawn several times, checked by functions in the sandbox, and scored by a judge."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from pipelines.evolve.autoif.asking import Asker
from pipelines.evolve.autoif.crosscheck import Function
from pipelines.evolve.autoif.judge import Score, mean_score, parse_score
from pipelines.evolve.autoif.respond import Respond
from pipelines.evolve.autoif.rules import RULES
from pipelines.evolve.autoif.verdicts import Runner


def function(body: str) -> Function:
    return Function(f"def evaluate(response):\n    return {body}", 1.0)


def test_each_of_eight_responses_has_the_share_of_functions_that_say_true(
    runner: Runner, asker: Callable[..., Asker]
) -> None:
    ask = asker("sky", "tree", "sky and sea", "  ")
    functions = [function("'e' not in response"), function("len(response) < 5"), function("'true'"), function("1 / 0")]
    found = asyncio.run(Respond(ask, runner)("Use no 'e'.", "What is {query}?", functions, "a" * 32))
    assert [(one.text, one.pass_rate) for one in found[:3]] == [("sky", 0.5), ("tree", 0.25), ("sky and sea", 0.0)]
    assert len(found) == 6
    assert len({one.draw.id for one in found}) == 6
    asked = ask.client.asked[0].messages[0][1]  # type: ignore[attr-defined]
    assert "Use no 'e'." in asked
    assert "What is {query}?" in asked


def test_a_response_that_was_cut_off_is_kept_and_marked_and_one_that_is_no_text_is_not(
    runner: Runner, asker: Callable[..., Asker]
) -> None:
    ask = asker("sky", "\ud800", finish="length")
    found = asyncio.run(Respond(ask, runner, count=2)("i", "q", [function("True")], "a" * 32))
    assert [(one.text, one.draw.finish_reason, one.pass_rate) for one in found] == [("sky", "length", 1.0)]


@pytest.mark.parametrize(
    ("text", "value", "outcome"),
    [
        ("Good.\n\nScore: 8", 8, "accepted"),
        ("Score: 10\n", 10, "accepted"),
        ("Score: 0", 0, "accepted"),
        ("Good.\n**Score:** 7", 7, "repaired:score_line"),
        ("Good.\nscore: 8/10.", 8, "repaired:score_line"),
        ("Good.\nScore: 8 out of 10", 8, "repaired:score_line"),
        ("Score: 8\nThat is it.", None, "rejected:no_score"),
        ("Good. Score: 8", 8, "repaired:score_line"),
        ("I like it: 8", None, "rejected:no_score"),
        ("Score: 8.5", None, "rejected:no_score"),
        ("Underscore: 8", None, "rejected:no_score"),
        ("Score: 100", None, "rejected:no_score"),
        ("Score: -3", None, "rejected:no_score"),
        ("Score: 11", None, "rejected:out_of_range"),
        ("", None, "rejected:no_score"),
    ],
)
def test_a_score_is_the_integer_of_the_last_line(text: str, value: int | None, outcome: str) -> None:
    found = parse_score(text, 0)
    assert (found.value, found.outcome) == (value, outcome)


def test_the_scale_of_the_paper_begins_at_one_that_of_its_code_at_zero(asker: Callable[..., Asker]) -> None:
    assert parse_score("Score: 0", RULES["paper"].lowest).outcome == "rejected:out_of_range"
    ask = asker("Score: 0")
    (draw,) = asyncio.run(Score(ask, RULES["code"])("i", "q", "r", "a" * 32))
    assert draw.value == 0
    assert "an integer from 0 " in ask.client.asked[0].messages[0][1]  # type: ignore[attr-defined]


def test_several_judgements_count_by_their_mean_those_that_can_not_be_read_not_at_all(
    asker: Callable[..., Asker],
) -> None:
    draws = asyncio.run(Score(asker("Score: 7", "none", "Score: 10"), count=3)("i", "q", "r", "a" * 32))
    assert mean_score(draws) == 8.5
    assert mean_score(draws[1:2]) == mean_score([]) == 0
