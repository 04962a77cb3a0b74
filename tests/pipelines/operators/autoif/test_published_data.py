"""Functions, cases and scores that real models wrote (sample data of 2406.13542's code)."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.operators.autoif.answer_judge import parse_score
from pipelines.operators.autoif.cross_validation import CrossValidation, apply_thresholds, cross_validate
from pipelines.operators.autoif.function_runs import Runner, pass_rates, run_function
from pipelines.operators.autoif.test_generation import parse_generated_tests
from pipelines.operators.autoif.thresholds import THRESHOLDS
from pipelines.rows.operator import Rejected

Load = Callable[[str], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def rows(shared_data: Path) -> Load:
    folder = shared_data / "autoif"
    if not folder.is_dir():
        pytest.skip(f"no data set in {folder}")

    def load(name: str) -> list[dict[str, Any]]:
        with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]

    return load


@pytest.fixture(scope="module")
def truths(rows: Load, runner: Runner) -> list[CrossValidation]:
    """Of five instructions with four replies each."""
    found: list[CrossValidation] = []
    for row in rows("eval_func_rft.half"):
        readings = [parse_generated_tests(text) for text in row["gpt-answer"]]
        found.append(asyncio.run(cross_validate(runner, "a", [read.value for read in readings if read.value])))
    return found


def test_all_replies_are_read_and_those_that_are_no_json_say_so(rows: Load) -> None:
    texts = [text for row in rows("eval_func_rft.half") for text in row["gpt-answer"]]
    assert Counter(parse_generated_tests(text).outcome for text in texts) == {"accepted": 18, "rejected:not_json": 2}


def test_every_function_that_was_read_loads_in_the_sandbox(truths: list[CrossValidation]) -> None:
    assert [(len(truth.sources), len(truth.cases)) for truth in truths] == [(4, 12), (3, 9), (4, 12), (3, 9), (4, 12)]


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        ("paper", [(4, 5), (2, 6), (4, 4), (3, 5), (4, 5)]),
        ("code", [(1, 8), "too_few_cases", "no_function_survives", "too_few_cases", (4, 5)]),
        ("port", [(1, 8), (2, 6), "no_function_survives", (3, 5), (4, 5)]),
    ],
)
def test_functions_and_cases_that_survive_cross_validation(
    truths: list[CrossValidation], rules: str, kept: list[Any]
) -> None:
    found: list[Any] = []
    for truth in truths:
        try:
            left = apply_thresholds(truth, THRESHOLDS[rules])
            found.append((len(left.functions), len(left.cases)))
        except Rejected as error:
            found.append(error.reason)
    assert found == kept


def test_functions_have_the_accuracies_that_the_authors_measured(rows: Load, runner: Runner) -> None:
    kept = {row["instruction"]: row for row in [*rows("back_trans"), *rows("query_rft")]}
    measured = 0
    for row in kept.values():
        responses, labels = zip(*row["cases"], strict=True)
        for source, accuracy in row["eval_func"]:
            agreed = asyncio.run(run_function(runner, "a", source, responses, labels))
            assert sum(agreed) / len(agreed) == pytest.approx(accuracy), source
            measured += 1
    assert measured == 27


def test_functions_that_say_true_as_a_text_pass_no_response(rows: Load, runner: Runner) -> None:
    row = rows("dpo_query_w_funcs")[0]
    assert asyncio.run(pass_rates(runner, "a", [row["eval_func"][0][0]], ["2, 3, 5", *row["gpt-answer"]])) == [0.0] * 9


def test_the_rule_of_the_code_keeps_the_scored_responses_that_the_authors_kept(rows: Load) -> None:
    scored = [(row["response"], parse_score(row["gen"][0], 0)) for row in rows("query_rft_score")]
    assert {reading.outcome for _, reading in scored} == {"accepted"}
    kept = [text for text, reading in scored if THRESHOLDS["code"].score.passes(reading.value or 0)]
    assert Counter(kept) == Counter(row["response"] for row in rows("query_score_filter"))
    assert len([1 for _, reading in scored if THRESHOLDS["paper"].score.passes(reading.value or 0)]) == 19
