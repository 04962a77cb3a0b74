"""Items from the hub, without a network: what is asked for, and what is made of the answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets import Dataset, DatasetDict

from pipelines.errors import InputError
from pipelines.evaluate.harness import run as harness
from pipelines.evaluate.harness.tasks import LM_EVAL_TASKS, LmEvalTask
from pipelines.evaluate.items import hub
from pipelines.evaluate.suite import load_items
from pipelines.study.spec.evaluation.benchmark_kinds import BENCHMARK_KINDS, HubDataset
from pipelines.study.spec.evaluation.benchmarks import Benchmark
from tests.pipelines.evaluate.conftest import Told

GSM = [{"question": f"{n}?", "answer": f"#### {n}"} for n in range(6)]
MMLU = [{"question": "?", "subject": "s", "choices": ["a", "b", "c", "d"], "answer": 1} for _ in range(5)]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any]]:
    """What `load_dataset` was asked for: data set and revision."""
    found: list[tuple[Any, Any]] = []

    def load(path: str, name: str | None = None, split: str | None = None, revision: str | None = None) -> Any:
        found.append((path, revision))
        if path == "nowhere":
            raise ConnectionError("no route")
        rows = Dataset.from_list(MMLU if "mmlu" in path else GSM)
        return rows if split else DatasetDict({"train": rows, "test": rows, "dev": rows})

    monkeypatch.setattr(datasets, "load_dataset", load)
    hub._download_file.cache_clear()
    return found


@pytest.mark.torch
def test_a_task_of_lm_eval_takes_the_hubs_data_at_its_revision(asked: list[tuple[Any, Any]]) -> None:
    bench = Benchmark(name="g", task="gsm8k", revision="abc", limit=2)
    rows, _ = harness.run_harness(Told(lambda _: "#### 0"), bench, Path(), "key")
    assert [row.correct for row in rows] == [True, False] and asked == [("openai/gsm8k", "abc")]


@pytest.mark.torch
def test_a_group_of_lm_eval_is_all_of_its_tasks(asked: list[tuple[Any, Any]]) -> None:
    bench = Benchmark(name="m", task="mmlu", limit=1)
    rows, _ = harness.run_harness(Told(lambda _: "", lambda _, text: float(text == "B")), bench, Path(), "key")
    assert len(rows) == len({row.task for row in rows}) == len(asked) == 57
    assert "anatomy" in {row.task for row in rows} and all(row.correct for row in rows)


@pytest.mark.torch
def test_an_unknown_task_is_told(asked: list[tuple[Any, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LM_EVAL_TASKS, "gsm8k", LmEvalTask("gsm8k", "gsm9k"))
    with pytest.raises(InputError, match=r"lm-eval has no task 'gsm9k'\. Did you mean 'gsm8k'"):
        harness.run_harness(Told(lambda _: ""), Benchmark(name="g", task="gsm8k"), Path(), "key")


def test_own_prompts_take_the_hubs_rows_once(asked: list[tuple[Any, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Benchmark(name="g", task="gsm8k", protocol="opencompass", limit=2)
    assert [len(load_items(bench, Path(), 0)) for _ in range(2)] == [2, 2] and len(asked) == 1
    nowhere = replace(BENCHMARK_KINDS["gsm8k"], hub=HubDataset("nowhere"))
    monkeypatch.setitem(BENCHMARK_KINDS, "gsm8k", nowhere)
    with pytest.raises(InputError, match="cannot download nowhere: no route"):
        load_items(bench.model_copy(update={"revision": "x"}), Path(), 0)
