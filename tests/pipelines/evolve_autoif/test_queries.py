"""Queries are the users' first turns, of a certain length, drawn for each instruction by the seed."""

from __future__ import annotations

import pytest

from pipelines.evolve.autoif.queries import first_turn, pair, usable

POOL = [f"query number {number} of many" for number in range(40)]


@pytest.mark.parametrize(("length", "kept"), [(20, False), (21, True), (299, True), (300, False)])
def test_queries_have_more_than_20_and_fewer_than_300_characters(length: int, kept: bool) -> None:
    assert usable(["x" * length, "x" * length]) == (("x" * length,) if kept else ())


def test_the_first_turn_of_the_user_is_the_query() -> None:
    turns = [{"from": "gpt", "value": "Hi"}, {"from": "human", "value": "one"}, {"from": "human", "value": "two"}]
    assert first_turn({"conversations": turns}) == "one"
    assert first_turn({"conversations": turns[:1]}) is None
    assert first_turn({"conversations": None}) is None
    assert first_turn({"conversations": [{"from": "user", "value": "\ud800"}]}) is None


def test_sixteen_different_queries_are_drawn_the_same_each_time() -> None:
    drawn = pair("Use no commas.", POOL)
    assert len(set(drawn)) == 16
    assert set(drawn) <= set(POOL)
    assert drawn == pair("Use no commas.", POOL)


def test_another_instruction_or_seed_draws_others() -> None:
    assert len({pair("Use no commas.", POOL), pair("Use ten words.", POOL), pair("Use no commas.", POOL, seed=1)}) == 3


def test_too_few_queries_are_an_error_that_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="16 queries per instruction are to be drawn from 3; give more"):
        pair("Use no commas.", POOL[:3])
