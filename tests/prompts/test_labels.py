"""A judge's label or number is read whatever stands around it, and a reply with two is rejected."""

from __future__ import annotations

import pytest

import prompts
from prompts.parse import Reply

AROUND = [
    "{}", " {}\n", "{}.", "**{}**", "*{}*", "__{}__", "**{}.**", '"{}"', "'{}'", "\u201c{}\u201d", "`{}`", "[[{}]]",
    "```\n{}\n```", "\\boxed{{{}}}", "$\\boxed{{\\text{{{}}}}}$", "Answer: {}", "Label: {}.", "**Label:** {}",
    "**Answer**: **{}**", "The answer is {}.", "Final answer: {}", '{{"label": "{}"}}', "<label>{}</label>",
    "I read it twice.\n\n{}", "{}\n\nIt takes some steps.", "It takes some steps, so:\n\n**{}**",
    "It takes some steps. \\boxed{{{}}}", "<think>\nFirst\n</think>\n\n{}",
]  # fmt: skip
PARSERS = {
    "difficulty_label": prompts.DIFFICULTY_LABELS,
    "category": prompts.CATEGORIES,
    "equality": (prompts.EQUAL, prompts.NOT_EQUAL),
    "difficulty_score": ("75", "0", "100", "7.5"),
}


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("parser", PARSERS)
def test_all_labels_are_read_with_the_same_kindness(parser: str, around: str) -> None:
    for label in PARSERS[parser]:
        for spelling in (label, label.upper(), label.capitalize()):
            reply = prompts.parse(parser, around.format(spelling))
            assert reply.value == label, (around.format(spelling), reply)
            assert (reply.outcome == "accepted") == (around.format(spelling).strip() == label)


@pytest.mark.parametrize("around", AROUND)
def test_names_are_read_like_labels(around: str) -> None:
    if "steps" not in around and "twice" not in around:  # a name beside a sentence is ambiguous
        assert prompts.parse("keyword", around.format("Add constraints")).value == "add constraints"


@pytest.mark.parametrize(
    ("parser", "reply", "outcome"),
    [
        ("difficulty_label", "The difficulty is hard.", "repaired:label"),
        ("difficulty_label", "Difficulty level: **very hard**", "repaired:label"),
        ("difficulty_label", "very_hard", "repaired:label"),
        ("difficulty_label", '{"difficulty": "hard"}', "repaired:label"),
        ("difficulty_label", "Hard. It needs several steps.", "repaired:label"),
        ("difficulty_label", "Hard - it needs several steps.", "repaired:label"),
        ("difficulty_label", "hard or very hard", "rejected:two_labels"),
        ("difficulty_label", "easy\nhard", "rejected:two_labels"),
        ("difficulty_label", "It looks easy, but is not.\n\nhard", "rejected:two_labels"),
        ("difficulty_label", "It is hard to say.", "rejected:not_a_label"),
        ("difficulty_label", "harder", "rejected:not_a_label"),
        ("difficulty_label", "<think>hard</think>", "rejected:empty"),
        ("category", "Category: coding", "repaired:label"),
        ("category", "data-analysis", "repaired:label"),
        ("category", "coding, mathematics", "rejected:two_labels"),
        ("category", "This asks for code.", "rejected:not_a_category"),
        ("equality", "The second asks for more.\n\nNot equal", "repaired:label"),
        ("equality", "The verdict is not equal.", "repaired:label"),
        ("keyword", "1. add constraints", "repaired:name"),
        ("keyword", "Name: add constraints\n\nThis says which.", "repaired:name"),
        ("keyword", "add constraints\nadd steps", "rejected:not_a_name"),
        ("difficulty_score", "75/100", "repaired:label"),
        ("difficulty_score", "**75** / 100", "repaired:label"),
        ("difficulty_score", "75 out of 100", "repaired:label"),
        ("difficulty_score", "75%", "repaired:label"),
        ("difficulty_score", "Score: 75\n\nIt has 2 parts.", "repaired:label"),
        ("difficulty_score", "Difficulty score: 75/100", "repaired:label"),
        ("difficulty_score", "It has 2 parts.\n\n75", "rejected:two_numbers"),
        ("difficulty_score", "75\n80", "rejected:two_numbers"),
        ("difficulty_score", "Score: 75\nScore: 80", "rejected:two_numbers"),
        ("difficulty_score", "70-80", "rejected:not_a_number"),
        ("difficulty_score", "7/10", "rejected:not_a_number"),
        ("difficulty_score", "7_5", "rejected:not_a_number"),
        ("difficulty_score", "\u0667\u0665", "rejected:not_a_number"),
        ("difficulty_score", "1e999", "rejected:not_a_number"),
        ("difficulty_score", "175/100", "rejected:out_of_range"),
    ],
)
def test_labels_with_explanations(parser: str, reply: str, outcome: str) -> None:
    assert prompts.parse(parser, reply).outcome == outcome


def test_the_number_of_a_score_is_kept_as_it_is_written() -> None:
    assert prompts.parse("difficulty_score", "Score: **72.50**/100.") == Reply("72.50", "repaired:label")
