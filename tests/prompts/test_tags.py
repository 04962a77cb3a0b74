"""Tags of instructions in the replies of judges and taggers."""

from __future__ import annotations

import pytest

import prompts
from prompts.parse import Reply
from prompts.tags import normal_tag

BOTH = "event planning\nword limit"


@pytest.mark.parametrize(
    "reply",
    [
        '["event planning", "word limit"]',
        '[{"tag": "Event Planning", "explanation": "A party."}, {"tag": "word limits", "explanation": "[50]"}]',
        '{"tags": ["event planning", "word-limit", "Word limit."]}',
    ],
)
def test_json_is_accepted(reply: str) -> None:
    assert prompts.parse("tags", reply) == Reply(BOTH, "accepted")


@pytest.mark.parametrize(
    "reply",
    [
        'Here they are:\n```json\n["event planning", "word limit"]\n```',
        '{"tag": "event planning", "explanation": "a"}\n{"tag": "word limit", "explanation": "b"}',
        '[{"tag": "event planning", "explanation": "a"}, {"tag": "word limit", "explanation": "b"}, {"tag": "cut o',
        "- event planning\n- word limit",
        "The tags are:\n1. Event planning\n2. Word limits\n",
    ],
)
def test_tags_with_something_around_them_are_repaired(reply: str) -> None:
    assert prompts.parse("tags", reply) == Reply(BOTH, "repaired:list")


@pytest.mark.parametrize(
    ("reply", "reason"),
    [("", "empty"), ("It asks for a party.", "no_tags"), ("[1, 2]", "no_tags"), ("- one\nthen\nmore", "no_tags")],
)
def test_other_replies_are_rejected(reply: str, reason: str) -> None:
    assert prompts.parse("tags", reply).reason == reason


def test_an_empty_list_has_no_tags_and_sentences_are_none() -> None:
    assert prompts.parse("tags", "[]") == Reply("", "accepted")
    assert prompts.parse("tags", '["it asks for a party with many guests and music", "party"]').value == "party"


@pytest.mark.parametrize(
    ("tag", "normal"),
    [
        ("Word Limits", "word limit"),
        ("data-analysis", "data analysis"),
        ("C++ classes", "c class"),
        ("story writing (short)", "story writing short"),
        ("queries", "query"),
        ("mathematics", "mathematics"),
        ("status", "status"),
        ("!", ""),
    ],
)
def test_equal_tags_have_one_form(tag: str, normal: str) -> None:
    assert normal_tag(tag) == normal
