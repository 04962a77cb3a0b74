"""From rows of answers to a benchmark's numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.results.report.collect.results import benchmark_numbers, task_scores
from pipelines.rows.types import AnswerRow
from pipelines.study.spec.evaluation.benchmarks import Benchmark

BENCH = Benchmark(name="x", lm_eval="x")


def answer(item: str, **measures: tuple[float, float]) -> AnswerRow:
    names, found = [*measures], [*measures.values()]
    return AnswerRow(
        id=item, parent_id="", seed_id=item, index=0, task="", level=0, instruction="", reference="", response="",
        correct=False, item=item, measures=names, values=[v for v, _ in found], weights=[w for _, w in found],
    )  # fmt: skip


def test_prompts_count_once_and_instructions_as_often_as_there_are() -> None:
    # IFEval's example [[T, F], [T, T]]: 50.0 by prompt, 75.0 by instruction
    found = task_scores(
        BENCH, [answer("a", prompt=(0, 1), instruction=(0.5, 2)), answer("b", prompt=(1, 1), instruction=(1, 2))]
    )
    assert {name: one.value for name, one in found.items()} == {"prompt": 50.0, "instruction": 75.0}


def test_an_answer_without_a_measure_does_not_count_for_it() -> None:
    found = task_scores(BENCH, [answer("a", score=(0.2, 1)), answer("b")])
    assert found["score"].value == pytest.approx(20.0)


def test_numbers_of_all_tasks_together_follow_those_by_task() -> None:
    bench = Benchmark.model_validate({"name": "f", "task": "followbench", "judge": {"model": "m"}})
    # one item a level, satisfied up to the third: 60 as a plain mean, (1 + 2 + 3) / 15 = 40 by the code's weights
    rows = [replace(answer(str(n), HSR=(float(n <= 3), 1), SSR=(1, 1)), level=n) for n in range(1, 6)]
    found = {one.metric: (one.value, bool(of.possible)) for one, of in benchmark_numbers(bench, rows, Path())}
    assert found["HSR"] == (60.0, True) and found["HSR weighted"] == (pytest.approx(40.0), False)
    assert [found[f"HSR {level}"][0] for level in range(1, 6)] == [100, 100, 100, 0, 0]
