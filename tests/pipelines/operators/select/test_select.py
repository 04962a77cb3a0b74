"""Which pairs are chosen, and what becomes of the others."""

from __future__ import annotations

import math
import random
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from pipelines.operators.select.metrics import COMPUTED, rounded_value
from pipelines.operators.select.select import select_pairs
from pipelines.rows.kinds import ROW_TYPES
from pipelines.rows.types import DiversityRow, ResponseRow, Row, ScoreRow
from pipelines.study.spec.pairs.selection import METRICS, Selection

IFD = (0.9, 0.5, 1.1, 0.7)


def pair(index: int, finish: str = "stop", instruction: str = "Ask.") -> ResponseRow:
    return ResponseRow(f"{index:032x}", "p", "s", index, instruction, "", "yes", finish, 3, 1)


def scores(*ifd: float, **others: float) -> dict[str, Row]:
    """Score rows with these values of IFD, by the ids of the pairs."""
    fields = dict.fromkeys(list(ScoreRow.__annotations__), 1.0) | others
    rows = [ScoreRow(f"s{i}", f"{i:032x}", "s", i, **{**fields, "ifd": value}) for i, value in enumerate(ifd)]  # type: ignore[arg-type]
    return {row.parent_id: row for row in rows}


def embedded(*vectors: tuple[float, float]) -> dict[str, Row]:
    rows = [np.array(vector, dtype=np.float32).tobytes() for vector in vectors]
    return {f"{i:032x}": DiversityRow(f"d{i}", "p", "s", i, 0.0, "", 0, row) for i, row in enumerate(rows)}


PAIRS = [pair(index) for index in range(4)]
MEASURED: dict[str, dict[str, Row]] = {"score": scores(*IFD), "diversity": {}}


def chosen(
    pairs: list[ResponseRow] = PAIRS, measured: Any = MEASURED, seed: int = 0, limit: int | None = None, **spec: Any
) -> list[int]:
    selection = Selection.model_validate({"name": "x", **spec})
    return [row.index for row in select_pairs(pairs, measured, selection, seed, "key", limit)[0]]


def reasons(pairs: list[ResponseRow] = PAIRS, measured: Any = MEASURED, **spec: Any) -> dict[int, str]:
    selection = Selection.model_validate({"name": "x", **spec})
    return {row.index: row.reason for row in select_pairs(pairs, measured, selection, 0, "key")[1]}


def test_the_top_half_by_ifd_in_file_order() -> None:
    assert chosen(by="ifd", keep=0.5) == [0, 2]
    assert chosen(by="ifd", keep=0.5, order="low") == [1, 3]


def test_cherry_drops_what_is_over_1_and_takes_a_share_of_the_rest() -> None:
    assert chosen(by="ifd", keep=0.5, at_most=1.0, share_of="left") == [0]
    assert chosen(by="ifd", keep=0.5, at_most=1.0) == [0, 3]
    assert reasons(by="ifd", keep=0.5, at_most=1.0) == {1: "not_selected", 2: "out_of_bounds"}


def test_superfiltering_drops_an_ifd_of_exactly_1_and_cherry_does_not() -> None:
    measured = {"score": scores(1.0, 0.5, 1.1, 0.7)}
    assert chosen(measured=measured, by="ifd", below=1.0) == [1, 3]
    assert chosen(measured=measured, by="ifd", at_most=1.0) == [0, 1, 3]
    assert chosen(measured=measured, by="ifd", above=1.0) == [2]


def test_a_share_of_less_than_a_pair_is_one_pair_and_never_all() -> None:
    assert chosen(by="ifd", keep=0.01) == [2]
    assert chosen(by="ifd", keep=0.01, at_most=1.0, share_of="left") == [0]


def test_nothing_within_the_bounds_is_nothing_chosen() -> None:
    assert chosen(by="ifd", above=2.0) == []


@pytest.mark.parametrize(
    ("pairs", "keep", "count"),
    [
        (51_983, 0.25, 12_995),
        (51_983, 0.05, 2_599),
        (51_983, 0.10, 5_198),
        (51_983, 0.15, 7_797),
        (100, 0.29, 29),
        (4, 0.49, 1),
    ],
)
def test_shares_are_rounded_down(pairs: int, keep: float, count: int) -> None:
    assert len(chosen([pair(index) for index in range(pairs)], by="words", keep=keep)) == count


@pytest.mark.parametrize(
    ("metric", "best"),
    [("ifd", "high"), ("ic_ifd", "high"), ("ppl_instruction", "low"), ("length", "low"), ("distance", "high")],
)
def test_each_metric_has_its_better_end(metric: str, best: str) -> None:
    assert METRICS[metric].better == best


def test_every_metric_has_either_a_column_of_the_rows_that_it_needs_or_a_function() -> None:
    assert {name for name, spec in METRICS.items() if not spec.column} == COMPUTED.keys()
    for spec in METRICS.values():
        assert not spec.column or spec.column in {field.name for field in fields(ROW_TYPES[spec.needs[0]])}


@pytest.mark.parametrize("name", ["ifdd", 5, ["ifd"]])
def test_only_metrics_of_the_table_can_be_selected_by(name: object) -> None:
    with pytest.raises(ValidationError) as caught:
        Selection.model_validate({"name": "x", "by": name})
    assert [error["type"] for error in caught.value.errors()] == ["literal_error"]
    assert Selection.model_json_schema()["properties"]["by"]["enum"] == [*METRICS]


def test_the_best_are_those_with_a_low_perplexity_unless_the_order_says_otherwise() -> None:
    rows = {i: scores(1, ppl_instruction=ppl) for i, ppl in enumerate((7.0, 3.0, 5.0))}
    measured = {"score": {f"{i:032x}": next(iter(row.values())) for i, row in rows.items()}}
    assert chosen(PAIRS[:3], measured, by="ppl_instruction", keep=0.34) == [1]
    assert chosen(PAIRS[:3], measured, by="ppl_instruction", keep=0.34, order="high") == [0]


def test_everything_is_kept_by_default() -> None:
    assert chosen() == [0, 1, 2, 3]


def test_ties_go_to_the_earlier_seed() -> None:
    measured = {"score": scores(1, 1, 1, 1)}
    assert chosen(measured=measured, by="ifd", keep=0.5) == [0, 1]
    assert chosen(measured=measured, by="ifd", keep=0.5, order="low") == [0, 1]


def test_values_that_differ_by_rounding_are_ties() -> None:
    pairs, once = [pair(index) for index in range(40)], [0.9, 0.8, 1.0, 0.7] * 10
    draw = random.Random(0)
    runs = [[value * (1 + draw.uniform(-1e-7, 1e-7)) for value in once] for _ in range(20)]
    for spec in ({"keep": 0.4}, {"keep": 0.3, "order": "low"}, {"below": 1.0}, {"at_most": 1.0}, {"above": 0.8}):
        selection = Selection.model_validate({"name": "x", "by": "ifd", **spec})
        made = [select_pairs(pairs, {"score": scores(*values)}, selection, 0, "key") for values in runs]
        assert all(each == made[0] for each in made) and made[0][0]


def test_pairs_of_one_seed_with_equal_values_are_ranked_by_their_ids() -> None:
    pairs = [replace(pair(index), index=0) for index in range(4)]
    measured = {"score": scores(1, 1, 1, 1)}
    selection = Selection(name="x", by="ifd", size=2)
    orders = (pairs, pairs[::-1], [pairs[2], pairs[0], pairs[3], pairs[1]])
    chosen = [{row.parent_id for row in select_pairs(order, measured, selection, 0, "key")[0]} for order in orders]
    assert chosen == [{pairs[0].id, pairs[1].id}] * 3


def test_numbers_of_words_and_draws_are_not_rounded() -> None:
    assert rounded_value("random", 0.123456789) == 0.123456789
    assert rounded_value("length", 1234567.0) == 1234567.0
    assert rounded_value("ifd", 0.123456789) == 0.12346


def test_random_depends_on_the_seed_and_not_on_the_order_of_rows() -> None:
    many = [pair(index) for index in range(100)]
    assert chosen(many, keep=0.5) == sorted(chosen(many[::-1], keep=0.5))
    assert chosen(many, keep=0.5) != chosen(many, seed=1, keep=0.5)


def test_the_instructions_of_the_fewest_words() -> None:
    pairs = [pair(0, instruction="one two three"), pair(1, instruction="one"), pair(2, instruction="one two")]
    assert chosen(pairs, by="words", keep=0.67) == [1, 2]


def test_length_is_in_tokens() -> None:
    rows = {f"{i:032x}": scores(1, tokens_instruction=count)[f"{0:032x}"] for i, count in enumerate((7, 3, 5))}
    pairs = [pair(0, instruction="one"), pair(1, instruction="one two three"), pair(2, instruction="one two")]
    assert chosen(pairs, {"lengths": rows}, by="length", keep=0.67) == [1, 2]
    assert reasons(pairs, {"lengths": {}}, by="length") == dict.fromkeys(range(3), "no_score")


def test_a_size_is_so_many_pairs_or_all_there_are() -> None:
    assert chosen(by="ifd", size=3) == [0, 2, 3]
    assert chosen(by="ifd", size=3, at_most=0.8) == [1, 3]


def test_a_size_and_a_share_contradict_one_another() -> None:
    with pytest.raises(ValidationError, match="not both"):
        Selection(name="x", size=3, keep=0.5)


def test_no_more_than_the_limit_are_chosen_and_these_are_the_best() -> None:
    assert chosen(by="ifd", limit=1) == [2]


def test_an_instruction_near_a_better_one_is_passed_over() -> None:
    near = {"score": scores(*IFD), "diversity": embedded((0.6, 0.8), (1, 0), (0.6, 0.8), (0, 1))}
    # in order of IFD: 2; 0 equals it; 3 is .4 from it; 1 is .8 from it
    assert chosen(measured=near, by="ifd", apart=0.1) == [1, 2, 3]
    assert chosen(measured=near, by="ifd", apart=0.5) == [1, 2]
    assert reasons(measured=near, by="ifd", apart=0.5) == {0: "too_near", 3: "too_near"}
    assert reasons(measured=near, by="ifd", apart=0.1, size=1) == dict.fromkeys((0, 1, 3), "not_selected")


def test_chosen_instructions_are_apart_and_none_is_passed_over_without_need() -> None:
    points = np.random.default_rng(2).standard_normal((700, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    measured = {"score": scores(*range(700)), "diversity": embedded(*points)}
    taken: list[int] = []
    for row in range(699, -1, -1):
        if all(((points[row] - points[other]) ** 2).sum() >= 0.05 for other in taken):
            taken.append(row)
    assert chosen([pair(row) for row in range(700)], measured, by="ifd", apart=0.05) == sorted(taken)


def test_a_pair_whose_instruction_has_no_embedding_is_not_chosen() -> None:
    measured = {"score": scores(*IFD), "diversity": embedded((1, 0), (0, 1))}
    assert reasons(measured=measured, by="ifd", apart=0.1) == {2: "no_score", 3: "no_score"}


@pytest.mark.parametrize(("bad", "reason"), [(pair(9), "no_score"), (pair(2, "length"), "truncated")])
def test_what_can_not_be_chosen_is_accounted_for(bad: ResponseRow, reason: str) -> None:
    assert chosen([PAIRS[0], bad], by="ifd") == [0]
    assert reasons([PAIRS[0], bad], by="ifd") == {bad.index: reason}


def test_truncated_answers_can_be_chosen_if_the_study_says_so() -> None:
    pairs = [PAIRS[0], pair(2, "length")]
    rows, left = select_pairs(pairs, {}, Selection(name="all"), 0, "key", keep_truncated=True)
    assert [row.finish_reason for row in rows] == ["stop", "length"] and not left


def test_a_value_that_is_no_number_is_no_score() -> None:
    assert reasons(measured={"score": scores(1, math.nan, 1, math.inf)}, by="ifd") == {1: "no_score", 3: "no_score"}


def parted(share: float, seed: int = 0, **spec: Any) -> tuple[set[int], dict[int, str]]:
    """Return the indices that a partial training keeps of 100 pairs of 50 seeds, and the reasons for the others."""
    pairs = [replace(pair(index), seed_id=f"seed {index // 2}") for index in range(100)]
    selection = Selection.model_validate({"name": "x", **spec})
    kept, rest = select_pairs(pairs, {}, selection, seed, "key", share=share)
    return {row.index for row in kept}, {row.index: row.reason for row in rest}


def test_a_partial_training_keeps_a_share_of_the_selected_pairs_of_the_same_seeds_in_every_set() -> None:
    kept, rest = parted(0.1)
    assert len(kept) == 10 and {index // 2 for index in kept} == {index // 2 for index in kept if index % 2 == 0}
    assert {*rest.values()} == {"beyond_share"} and len(rest) == 90
    assert kept == parted(0.1, by="words")[0], "another set's selection keeps the same seeds"
    assert kept < parted(0.35)[0], "a smaller share is a part of a larger one"
    assert kept != parted(0.1, seed=1)[0]


def test_a_share_is_taken_after_the_selection_and_keeps_at_least_one_pair() -> None:
    kept, rest = parted(0.5, keep=0.1)
    assert len(kept) == 5 and sorted(rest.values()).count("not_selected") == 90
    assert len(parted(0.001)[0]) == 1
