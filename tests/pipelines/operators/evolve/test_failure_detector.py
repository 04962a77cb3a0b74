"""When a response shows that an evolution failed: the published rules, and what they leave open."""

from __future__ import annotations

import pytest

from pipelines.operators.evolve.failure_detector import failure_class


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ("Understood! Would you like more?", "stagnant"),
        ("Thank you for the task. What now?", "stagnant"),
        ("Understood.", None),
        ("Sure, which file do you mean?", "unqualified"),
        ("Sure. Here it is: 4.", None),
        ("Could you PLEASE PROVIDE the table", "lost_information"),
        ("To go on, please provide the list.", "lost_information"),
        (" Thank you. Anything else?\n", "stagnant"),
        ("understood? yes?", None),
        ("It is understood, or is it?", None),
        ("What is it?", None),
        ("That is not possible.", None),
        ("", "empty"),
        (" \n", "empty"),
        ("4", None),
    ],
)
def test_the_rules_of_the_papers_appendix(response: str, expected: str | None) -> None:
    assert failure_class(response) == expected


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ("What do you mean?", "stagnant"),
        ("That is correct. More?", "stagnant"),
        ("Great! What else?", "stagnant"),
        ("I'm sorry, what?", "stagnant"),
        ("As an AI assistant, can I?", "stagnant"),
        ("Sure, which one?", "unqualified"),
        ("This is Not Possible.", "lost_information"),
        ("great, or not?", None),
        ("", None),
    ],
)
def test_the_lists_of_the_authors_code(response: str, expected: str | None) -> None:
    assert failure_class(response, "authors") == expected
