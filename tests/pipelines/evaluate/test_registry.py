"""Every benchmark that a study can name is asked by somebody, and its answers are read."""

from __future__ import annotations

import pytest

import prompts
from pipelines.evaluate.harness.tasks import LM_EVAL_TASKS
from pipelines.evaluate.registry import CODE, GRADED, JUDGED, REFERENCES, SCORING
from pipelines.study.spec.evaluation.benchmark_kinds import BENCHMARK_KINDS, BenchmarkKind, task_names
from pipelines.study.spec.evaluation.benchmarks import Benchmark, Judge


@pytest.mark.parametrize("name", task_names())
def test_a_benchmark_is_in_the_table_that_its_record_asks_for(name: str) -> None:
    kind = BENCHMARK_KINDS[name]
    graded = not kind.judging and not kind.runs_code and (not kind.harness or kind.opencompass_prompts is not None)
    assert [name in table for table in (JUDGED, CODE, GRADED)] == [kind.judging is not None, kind.runs_code, graded]
    assert (name in LM_EVAL_TASKS) == kind.harness


def test_no_table_has_a_name_that_a_study_cannot_give() -> None:
    named = {*JUDGED, *CODE, *GRADED, *LM_EVAL_TASKS, *SCORING, *REFERENCES}
    assert named == {*task_names()} and {*BENCHMARK_KINDS} - named == {"world", "lm_eval"}
    compared = {name for name, kind in BENCHMARK_KINDS.items() if kind.judging and kind.judging.reference != "none"}
    assert {*REFERENCES} <= compared


@pytest.mark.parametrize("kind", BENCHMARK_KINDS.values(), ids=BENCHMARK_KINDS)
def test_a_record_names_prompts_examples_and_keys_that_exist(kind: BenchmarkKind) -> None:
    names = (*kind.prompts, *(kind.opencompass_prompts or ()), *kind.judge_prompts)
    assert all(prompts.get(name).name == name for name in names)
    assert kind.examples is None or prompts.shots(kind.examples).examples
    assert kind.keys <= Benchmark.model_fields.keys()
    assert kind.judging is None or kind.judging.keys <= Judge.model_fields.keys()
