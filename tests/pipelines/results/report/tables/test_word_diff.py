"""The word diff marks what changed and never changes the text."""

import pytest

from pipelines.results.report.tables.word_diff import Segment, segments


def kept(found: list[Segment]) -> str:
    return "".join(piece.text for piece in found if piece.change != "removed")


def test_an_appended_sentence_is_one_added_piece():
    found = segments("Reverse the list.", "Reverse the list. Put it in brackets.")
    assert found == [Segment("same", "Reverse the list. "), Segment("added", "Put it in brackets.")]


def test_a_replaced_word_is_removed_and_added():
    found = segments("Name three big animals of the sea", "Name three small animals of the sea")
    assert Segment("removed", "big ") in found
    assert Segment("added", "small ") in found


def test_a_wholly_new_text_is_not_marked():
    assert segments("Count the words.", "Bake bread tomorrow!") == [Segment("same", "Bake bread tomorrow!")]


def test_very_long_texts_are_not_compared():
    text = "word " * 2000
    assert segments(text, text + "more") == [Segment("same", text + "more")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  leading and trailing  ",
        "tabs\tand\n\nlines",
        "नमस्ते दुनिया, कैसे हैं?",
        "👩‍🚀 flies to 🌊",
        "列出三种水果，并说明理由。",
        "اكتب قصيدة",
        "<b>&amp;</b> {{ x }}",
    ],
)
def test_same_and_added_pieces_are_the_new_text(text):
    assert kept(segments("List three fruits, and more.", text)) == text
    assert kept(segments(text, text + " End.")) == text + " End."
    assert all(piece.text for piece in segments(text, text + " End."))


def test_characters_that_belong_together_are_not_torn():
    found = segments("Say hello to the whole crew 👩‍🚀 now", "Say नमस्ते to the whole crew 👩‍🚀 now")
    assert Segment("added", "नमस्ते ") in found
