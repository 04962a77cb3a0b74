"""Texts that are longer than a scorer's limit are cut at their ends, if the request allows it."""

from __future__ import annotations

from actors.inference.scored_texts import ScoredText, truncate_texts


def text(tokens: int, boundary: int = 0) -> ScoredText:
    return ScoredText(tuple(range(tokens)), boundary, (False, *[True] * (tokens - 1)))


def lengths(limit: int, *scored: ScoredText) -> list[tuple[int, int, int]]:
    return [(len(each.ids), each.boundary, len(each.content)) for each in truncate_texts(scored, limit)]


def test_a_pair_keeps_the_limit_and_its_answer_alone_what_is_left_and_one_more() -> None:
    assert lengths(10, text(30, 6), text(25)) == [(10, 6, 10), (5, 0, 5)]


def test_what_is_before_the_answer_alone_takes_no_token_from_it() -> None:
    assert lengths(10, text(30, 6), text(25, 4)) == [(10, 6, 10), (8, 4, 8)]


def test_short_texts_stay_whole() -> None:
    assert lengths(10, text(10, 6), text(5)) == [(10, 6, 10), (5, 0, 5)]
    assert lengths(10, text(8)) == [(8, 0, 8)]


def test_a_question_beyond_the_limit_leaves_no_answer() -> None:
    assert lengths(10, text(30, 20), text(11)) == [(10, 10, 10), (1, 0, 1)]
