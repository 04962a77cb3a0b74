"""Which answers count as refusals."""

from __future__ import annotations

import pytest

from pipelines.operators.respond.refusals import is_refusal


@pytest.mark.parametrize(
    "answer",
    [
        "I cannot help with that.",
        "I\u2019m sorry, but I can\u2019t do this.",
        "**Sorry, but I** am not the one to ask.",
        '"As an AI, I have no opinions."',
        "Unfortunately,  I\ncan not open links.",
        "I am unable to browse the web.",
    ],
)
def test_an_answer_that_opens_by_declining_is_a_refusal(answer: str) -> None:
    assert is_refusal(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "Icarus cannot fly.",
        "The Nile. I cannot say how long it is.",
        "I'm sorry for your loss. May the days be kind to you.",
        "As an AI researcher, Ada wrote programs.",
        "Sorry is a four-letter card game.",
    ],
)
def test_other_answers_are_none(answer: str) -> None:
    assert not is_refusal(answer)
