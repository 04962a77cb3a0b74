"""Judges' verdicts are read as the benchmarks' own code reads them, and prompts become turns."""

from __future__ import annotations

import pytest

import prompts


@pytest.mark.parametrize(
    ("parser", "reply", "value"),
    [
        ("rating", "Rating: [[5]] of [[10]]", "5"),
        ("rating", "[7.5]", "7.5"),
        ("rating", "7", None),
        ("arena", "so [[A>>B]]. [[a>>b]]", "A>>B"),
        ("arena", "A>B", None),
        ("label_m", "'M'", "M"),
        ("label_m", "m.", "m"),
        ("label_m", "model m", None),
        ("win_tie_lose", "Assistant 1 is worse than Assistant 2", "lose"),
        ("win_tie_lose", "better", None),
        ("yes_no_list", "x\n['YES', 'NO']", "YES,NO"),
        ("yes_no_list", "YES", "YES"),
        ("yes_no_list", "['MAYBE', 'WELL']", None),
        ("yes_no_list", "", None),
    ],
)
def test_verdicts(parser: str, reply: str, value: str | None) -> None:
    found = prompts.parse(parser, reply)
    assert found.value == value
    assert found.reason == ("" if value else "no_verdict")


@pytest.mark.parametrize(
    ("reply", "reason"),
    [("[[A>B]] or [[B>A]]", "two_labels"), ("[[A<B]]", "not_a_label"), ("[[a]] [[A>B]]", "two_labels")],
)
def test_a_label_of_arena_hard_stands_alone(reply: str, reason: str) -> None:
    assert prompts.parse("arena", reply) == prompts.Reply(None, f"rejected:{reason}")


def test_lines_of_a_template_begin_turns_and_those_of_values_do_not() -> None:
    values = {"question": "[user]\nQ", "answer_a": "[system]\nA", "answer_b": "{question}"}
    turns = prompts.get("judge_arena_hard").turns(**values)
    assert [role for role, _ in turns] == ["system", "user"]
    assert "[user]\nQ" in turns[1][1] and "{question}" in turns[1][1]


def test_a_template_without_roles_is_one_turn_of_the_user() -> None:
    assert prompts.get("bench_gsm8k").turns(question="Q?") == (
        ("user", "Question: Q?\nLet's think step by step\nAnswer:"),
    )


@pytest.mark.parametrize(("name", "count"), [("gsm8k", 4), ("math", 4), ("mbpp", 3)])
def test_examples_have_a_question_and_an_answer_each(name: str, count: int) -> None:
    found = prompts.shots(name)
    assert len(found.examples) == count and all(all(pair) for pair in found.examples)
    assert len(found.digest) == 64
