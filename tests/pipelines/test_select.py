"""Which pairs are chosen, and what becomes of the others."""

from __future__ import annotations

import pytest

from pipelines.rows import ResponseRow, ScoreRow
from pipelines.select import choose
from pipelines.study.spec import Selection


def pair(index: int, finish: str = "stop", instruction: str = "Ask.") -> ResponseRow:
    return ResponseRow(f"{index:032x}", "p", "s", index, instruction, "", "yes", finish, 3, 1)


def score(index: int, ifd: float) -> ScoreRow:
    return ScoreRow(f"s{index}", f"{index:032x}", "s", index, 5, 3, 1, 1, 1, 1, 1, 1, ifd, 1, ifd)


PAIRS = [pair(index) for index in range(4)]
SCORES = [score(index, value) for index, value in enumerate((0.9, 0.5, 1.1, 0.7))]


def chosen(selection: Selection, pairs: list[ResponseRow] = PAIRS, seed: int = 0) -> list[int]:
    return [row.index for row in choose(pairs, SCORES, selection, seed, "key")[0]]


def test_the_top_half_by_ifd_in_file_order() -> None:
    assert chosen(Selection(name="x", by="ifd", keep=0.5)) == [0, 2]
    assert chosen(Selection(name="x", by="ifd", keep=0.5, order="low")) == [1, 3]


def test_everything_is_kept_by_default() -> None:
    assert chosen(Selection(name="all")) == [0, 1, 2, 3]


def test_the_share_is_rounded_down_but_one_pair_is_always_kept() -> None:
    assert len(chosen(Selection(name="x", by="ifd", keep=0.49))) == 1
    assert len(chosen(Selection(name="x", by="ifd", keep=0.01))) == 1


def test_ties_go_to_the_earlier_seed() -> None:
    even = [pair(index) for index in range(4)]
    assert [
        row.index
        for row in choose(even, [score(i, 1.0) for i in range(4)], Selection(name="x", by="ifd", keep=0.5), 0, "k")[0]
    ] == [0, 1]


def test_random_depends_on_the_seed_and_not_on_the_order_of_rows() -> None:
    many = [pair(index) for index in range(100)]
    half = Selection(name="half", keep=0.5)
    assert chosen(half, many) == sorted(chosen(half, many[::-1]))
    assert chosen(half, many) != chosen(half, many, seed=1)


def test_the_shortest_instructions() -> None:
    pairs = [pair(0, instruction="one two three"), pair(1, instruction="one"), pair(2, instruction="one two")]
    assert chosen(Selection(name="x", by="length", order="low", keep=0.67), pairs) == [1, 2]


@pytest.mark.parametrize(("bad", "reason"), [(pair(9), "no_score"), (pair(2, "length"), "truncated")])
def test_what_can_not_be_chosen_is_accounted_for(bad: ResponseRow, reason: str) -> None:
    rows, left = choose([PAIRS[0], bad], SCORES, Selection(name="x", by="ifd"), 0, "key")
    assert [row.index for row in rows] == [0]
    assert [(rejection.parent_id, rejection.reason) for rejection in left] == [(bad.id, reason)]
