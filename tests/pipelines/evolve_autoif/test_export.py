"""What is trained on: examples that pass, and pairs of a response that passes and one that does not."""

from __future__ import annotations

import pytest

from pipelines.evolve.autoif.asking import Draw
from pipelines.evolve.autoif.export import SftRow, dpo_rows, good, joined, port_rows, records, sft_rows
from pipelines.evolve.autoif.respond import Response
from pipelines.evolve.autoif.rules import RULES


def response(text: str, rate: float) -> Response:
    return Response(text, rate, Draw("a", text, text, "accepted", "stop", 1, 1))


def test_a_score_of_eight_is_kept_by_the_paper_and_dropped_by_its_code() -> None:
    scored = [(response("a", 1.0), 8.0), (response("b", 1.0), 9.0), (response("c", 1.0), 7.9)]
    assert good(scored, RULES["paper"]) == ["a", "b"]
    assert good(scored, RULES["code"]) == ["b"]
    assert good(scored, RULES["port"]) == ["a", "b", "c"]


def test_a_response_that_half_of_the_functions_pass_is_kept_by_the_code_only() -> None:
    scored = [(response("a", 0.5), 10.0), (response("b", 0.6), 10.0), (response("c", 0.0), 10.0)]
    assert good(scored) == ["b"]
    assert good(scored, RULES["code"]) == ["a", "b"]


def test_the_same_text_is_kept_once() -> None:
    assert good([(response("a", 1.0), 9.0)] * 3) == ["a"]


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
    assert joined("use no commas", query) == text


def test_rows_are_written_as_plain_fields() -> None:
    assert records(sft_rows("use no commas", "name a bird", ["Owl"])) == [
        {"instruction": "Name a bird. Use no commas.", "input": "", "output": "Owl"}
    ]
    assert port_rows("use no commas", "name a bird", ["Owl"]) == [SftRow("use no commas", "name a bird", "Owl")]


def test_pairs_have_a_response_that_passes_and_one_that_no_function_passes() -> None:
    rows = dpo_rows("i", "q", [response("good", 1.0), response("half", 0.5), response("some", 0.2), response("bad", 0)])
    assert records(rows) == [{"prompt": "Q. I.", "chosen": "good", "rejected": "bad"}]


def test_a_response_that_half_of_the_functions_pass_is_chosen_by_the_code_only() -> None:
    responses = [response("half", 0.5), response("bad", 0.0)]
    assert dpo_rows("i", "q", responses) == []
    assert [row.chosen for row in dpo_rows("i", "q", responses, RULES["code"])] == ["half"]


def test_at_most_two_of_each_side_are_paired_the_same_each_time() -> None:
    responses = [
        response(f"{side}{number}", rate) for side, rate in (("good", 1.0), ("bad", 0.0)) for number in range(5)
    ]
    rows = dpo_rows("i", "q", responses)
    assert len({(row.chosen, row.rejected) for row in rows}) == 4
    assert len({row.chosen for row in rows}) == len({row.rejected for row in rows}) == 2
    assert rows == dpo_rows("i", "q", responses)
    assert len({tuple(dpo_rows("i", "q", responses, seed=seed)) for seed in range(5)}) > 1


def test_without_a_response_of_either_side_there_is_no_pair() -> None:
    assert dpo_rows("i", "q", [response("good", 1.0)]) == dpo_rows("i", "q", [response("bad", 0.0)]) == []
