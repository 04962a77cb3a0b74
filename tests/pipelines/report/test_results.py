"""From rows of answers to a benchmark's numbers."""

from __future__ import annotations

import pytest

from pipelines.report.results import marks
from pipelines.rows import AnswerRow
from pipelines.study.benchmarks import Benchmark

BENCH = Benchmark(name="x", lm_eval="x")


def answer(item: str, **measures: tuple[float, float]) -> AnswerRow:
    names, found = [*measures], [*measures.values()]
    return AnswerRow(
        id=item, parent_id="", seed_id=item, index=0, task="", level=0, instruction="", reference="", response="",
        correct=False, item=item, measures=names, values=[v for v, _ in found], weights=[w for _, w in found],
    )  # fmt: skip


def test_prompts_count_once_and_instructions_as_often_as_there_are() -> None:
    # IFEval's example [[T, F], [T, T]]: 50.0 by prompt, 75.0 by instruction
    found = marks(
        BENCH, [answer("a", prompt=(0, 1), instruction=(0.5, 2)), answer("b", prompt=(1, 1), instruction=(1, 2))]
    )
    assert {name: one.value for name, one in found.items()} == {"prompt": 50.0, "instruction": 75.0}


def test_an_answer_without_a_measure_does_not_count_for_it() -> None:
    found = marks(BENCH, [answer("a", score=(0.2, 1)), answer("b")])
    assert found["score"].value == pytest.approx(20.0)
