"""The requests that steps send to models, estimated before anything has run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from pipelines.planning.workload import DEFAULT_WORKLOADS, WORKLOADS, StepWorkload, estimate_workloads, workload_class
from pipelines.study.graph.build import build
from pipelines.study.graph.steps.params.table import STEP_PARAMS
from pipelines.study.graph.steps.step import Step
from tests.support.studies import STUDENTS, scripted_study

ITEMS = 5


def judged(folder: Path, task: str, **judge: Any) -> list[tuple[Step, StepWorkload, Mapping[str, StepWorkload]]]:
    """Return the verdict steps of a study with `ITEMS` judged items, their workloads, and all workloads."""
    (folder / "items.jsonl").write_text("")
    bench = {"name": "bench", "task": task, "file": "items.jsonl", "limit": ITEMS}
    changes = STUDENTS | {"benchmarks": [bench | {"judge": {"model": "scorer"} | judge}]}
    grid = build(scripted_study(**changes), folder)
    works = estimate_workloads(grid, {}, {})
    return [(step, works[key], works) for key, step in grid.steps.items() if step.kind == "verdict"]


@pytest.mark.parametrize(
    ("task", "judge", "asked", "texts", "said"),
    [
        ("followbench", {}, 1, 2, 300),
        ("mt_bench", {}, 2, 3, 300),
        ("mt_bench", {"max_tokens": 100}, 2, 3, 100),
        ("arena_hard", {"reference": "large"}, 2, 3, 300),
        ("compare", {"reference": "large"}, 1, 3, 300),
        ("compare", {"reference": "large", "swap": True}, 2, 3, 300),
        ("alpaca_eval", {"reference": "large", "verdict": "label"}, 1, 3, 1),
        ("alpaca_eval", {"reference": "large"}, 1, 3, 1),
    ],
)
def test_a_judge_reads_every_answer_as_often_as_its_benchmark_asks(
    tmp_path: Path, task: str, judge: dict[str, Any], asked: int, texts: int, said: int
) -> None:
    found = judged(tmp_path, task, **judge)
    assert found
    for step, work, works in found:
        assert work.model == "scorer"
        assert (work.rows_in, work.rows_out) == (ITEMS, ITEMS) == (works[step.inputs[0].key].rows_out,) * 2
        assert work.tokens_in == ITEMS * asked * (300 + 60 * texts)
        assert work.tokens_out == ITEMS * asked * said
        assert work.work_type == ("generate" if said else "score")
        assert workload_class(step) == "verdict:scorer:bench"


def test_every_kind_of_step_has_an_estimate_for_its_own_parameters() -> None:
    without = {params for params in STEP_PARAMS.values() if params not in WORKLOADS}
    assert {params.work_type for params in without} <= DEFAULT_WORKLOADS.keys()
    assert all(get_type_hints(estimate)["params"] is params for params, estimate in WORKLOADS.items())
