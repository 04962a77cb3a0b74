"""What is trained on: examples that pass, and pairs of a response that passes and one that does not."""

from __future__ import annotations

import pytest

from pipelines.operators.autoif.query_pairing import join_query
from pipelines.operators.autoif.thresholds import THRESHOLDS
from pipelines.results.export.preferences import DpoRow, Response, dpo_rows


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("name a bird", "Name a bird. Use no commas."),
        ("name a bird.", "Name a bird. Use no commas."),
        ("what flies?", "What flies? Use no commas."),
        ("run a.py now", "Run a.py now Use no commas."),
        ("été", "Été. Use no commas."),
    ],
)
def test_query_and_instruction_become_one_text(query: str, text: str) -> None:
    assert join_query("use no commas", query) == join_query("use no commas.", query) == text


def test_pairs_have_a_response_that_passes_and_one_that_no_function_passes() -> None:
    rows = dpo_rows("q", [Response("good", 1.0), Response("half", 0.5), Response("some", 0.2), Response("bad", 0)])
    assert rows == [DpoRow("q", "good", "bad")]


def test_a_response_that_half_of_the_functions_pass_is_chosen_by_the_code_only() -> None:
    responses = [Response("half", 0.5), Response("bad", 0.0)]
    assert dpo_rows("q", responses) == []
    assert [row.chosen for row in dpo_rows("q", responses, THRESHOLDS["code"])] == ["half"]


def test_at_most_two_of_each_side_are_paired_the_same_each_time() -> None:
    responses = [
        Response(f"{side}{number}", rate) for side, rate in (("good", 1.0), ("bad", 0.0)) for number in range(5)
    ]
    rows = dpo_rows("q", responses)
    assert len({(row.chosen, row.rejected) for row in rows}) == 4
    assert len({row.chosen for row in rows}) == len({row.rejected for row in rows}) == 2
    assert rows == dpo_rows("q", responses)
    assert len({tuple(dpo_rows("q", responses, seed=seed)) for seed in range(5)}) > 1


def test_without_a_response_of_either_side_there_is_no_pair() -> None:
    assert dpo_rows("q", [Response("good", 1.0)]) == dpo_rows("q", [Response("bad", 0.0)]) == []
