"""Queries are the users' first turns, of a certain length, drawn for each instruction by the seed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipelines.operators.autoif.query_pairing import filter_queries, pair_queries, paired_rows
from pipelines.rows.types import InstructionRow, VerifiedRow
from pipelines.study.graph.steps.params.instructions import PairParams

POOL = [f"query number {number} of many" for number in range(40)]


@pytest.mark.parametrize(("length", "kept"), [(20, False), (21, True), (299, True), (300, False)])
def test_queries_have_more_than_20_and_fewer_than_300_characters(length: int, kept: bool) -> None:
    row = seed(0, "x" * length)
    assert filter_queries([row]) == ([row] if kept else [])


def test_a_query_is_dropped_only_after_the_same_conversation() -> None:
    question = "And what about the other one?"
    history = replace(seed(1, question), history=["Name two birds.", "Condor, heron."])
    rows = [replace(history, system="Be brief.", index=2), seed(3, question), history, seed(0, question)]
    assert [row.index for row in filter_queries(rows)] == [0, 1, 2]


def test_sixteen_different_queries_are_drawn_the_same_each_time() -> None:
    drawn = pair_queries("Use no commas.", POOL)
    assert len(set(drawn)) == 16
    assert set(drawn) <= set(POOL)
    assert drawn == pair_queries("Use no commas.", POOL)


def test_another_instruction_or_seed_draws_others() -> None:
    assert (
        len(
            {
                pair_queries("Use no commas.", POOL),
                pair_queries("Use ten words.", POOL),
                pair_queries("Use no commas.", POOL, seed=1),
            }
        )
        == 3
    )


def test_a_query_and_its_instruction_are_one_text_unless_the_rules_keep_them_apart() -> None:
    verified = VerifiedRow(
        "a" * 32, "", "", 0, "Use no commas.", ["def evaluate(r): ..."], [1.0], [], [], [], [], [], ""
    )
    seeds = [
        replace(seed(number, query), system=f"Be {number}.", history=["Hi.", f"Hello {number}."])
        for number, query in enumerate(POOL)
    ]
    joined, apart = (paired_rows([verified], seeds, PairParams(rules, 4, 0), "k") for rules in ("paper", "port"))
    assert [row.index for row in joined] == sorted(row.index for row in joined)
    for one, other in zip(joined, apart, strict=True):
        query = POOL[one.index]
        assert (one.instruction, one.input) == (f"{query.capitalize()}. Use no commas.", "")
        assert (other.instruction, other.input) == ("Use no commas.", query)
        assert one.system == other.system == f"Be {one.index}."
        assert one.history == other.history == ["Hi.", f"Hello {one.index}."]
        assert one.seed_id == f"{one.index:032d}" and one.parent_id == verified.id and one.functions
    assert len({row.id for row in joined}) == 4


def seed(number: int, text: str) -> InstructionRow:
    made = f"{number:032d}"
    return InstructionRow(made, "", made, number, 0, "seed", text, "", "", "", "accepted", 0, 0)
