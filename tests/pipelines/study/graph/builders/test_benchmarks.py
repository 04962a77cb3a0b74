"""Everything that changes a benchmark's rows is in its key, placement is not, and one more benchmark is one column."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import prompts
from pipelines.study.graph.build import build
from pipelines.study.graph.builders import benchmarks as benchmark_steps
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.study import Study
from tests.support.studies import scripted_study

MODELS = {name: {"source": name, "engine": "scripted", "cpus": 0.1} for name in ("small", "large", "judge", "other")}
GSM: dict[str, Any] = {"name": "b", "task": "gsm8k", "file": "items.jsonl", "protocol": "opencompass"}
DUEL: dict[str, Any] = {"name": "d", "task": "compare", "file": "items.jsonl"}
JUDGE: dict[str, Any] = {"model": "judge", "reference": "answers.json"}


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> Path:
    (tmp_path / "items.jsonl").write_text(json.dumps({"instruction": "Hi", "question": "1?", "answer": "#### 1"}))
    (tmp_path / "answers.json").write_text(json.dumps([{"instruction": "Hi", "output": "Hello"}]))
    return tmp_path


def study(*benchmarks: Mapping[str, Any], **parts: Any) -> Study:
    """A study with one untuned and one trained student."""
    students = [{"model": "small", "recipe": "full"}]
    fixed: dict[str, Any] = {"models": MODELS, "scoring": None, "recipes": {"full": {}}, "students": students}
    return scripted_study(**fixed | {"benchmarks": list(benchmarks)} | parts)


def steps(folder: Path, *benchmarks: Mapping[str, Any], **models: Mapping[str, Any]) -> dict[str, Step]:
    """The steps of that study by key."""
    changed = {name: {**MODELS[name], **models.get(name, {})} for name in MODELS}
    return dict(build(study(*benchmarks, models=changed), folder).steps)


def keys(folder: Path, benchmark: Mapping[str, Any], kind: str, **models: Mapping[str, Any]) -> list[str]:
    return [step.key for step in steps(folder, benchmark, **models).values() if step.kind == kind]


@pytest.mark.parametrize(
    "change", [{"shots": 2}, {"limit": 1}, {"max_tokens": 7}, {"thousands": False}, {"protocol": "lm-eval", "shots": 0}]
)
def test_what_changes_answers_or_their_grades_changes_the_key(files: Path, change: dict[str, Any]) -> None:
    assert not set(keys(files, GSM, "evaluate")) & set(keys(files, GSM | change, "evaluate"))


def test_content_of_the_file_changes_the_key_and_its_place_does_not(files: Path) -> None:
    before = keys(files, GSM, "evaluate")
    (files / "moved.jsonl").write_bytes((files / "items.jsonl").read_bytes())
    assert keys(files, GSM | {"file": "moved.jsonl", "name": "c"}, "evaluate") == before
    (files / "items.jsonl").write_text(json.dumps({"question": "2?", "answer": "#### 2"}))
    assert not set(keys(files, GSM, "evaluate")) & set(before)


def test_prompts_and_the_harness_version_are_in_the_key(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    payload = next(step.payload for step in steps(files, GSM).values() if step.kind == "evaluate")
    asked = payload["asked_by"]
    assert asked["prompts"]["bench_gsm8k"] == prompts.get("bench_gsm8k").digest
    assert asked["shots"] == prompts.shots("gsm8k").digest
    harness = GSM | {"protocol": "lm-eval", "shots": 0}
    before = keys(files, harness, "evaluate")
    monkeypatch.setattr(benchmark_steps, "version", lambda name: "9.9")
    assert not set(before) & set(keys(files, harness, "evaluate"))


def test_placement_is_in_no_key(files: Path) -> None:
    run = {"replicas": 2, "cpus": 0.5, "in_flight": 3}
    for kind in ("evaluate", "verdict"):
        benchmark = DUEL | {"judge": JUDGE}
        assert keys(files, benchmark, kind) == keys(files, benchmark, kind, small=run, judge=run)


@pytest.mark.parametrize(
    "change",
    [{"model": "other"}, {"swap": True}, {"max_tokens": 9}, {"reference": "small"}, {"reference": "more.json"}],
)
def test_another_judge_judges_the_same_answers(files: Path, change: dict[str, Any]) -> None:
    (files / "more.json").write_text(json.dumps([{"instruction": "Hi", "output": "Good day"}]))
    first, second = DUEL | {"judge": JUDGE}, DUEL | {"judge": JUDGE | change}
    assert not set(keys(files, first, "verdict")) & set(keys(files, second, "verdict"))
    assert set(keys(files, first, "evaluate")) <= set(keys(files, second, "evaluate"))


def test_one_more_benchmark_adds_only_its_own_steps(files: Path) -> None:
    world = {"name": "world", "world": {"count": 3}}
    before, after = steps(files, world), steps(files, world, GSM, DUEL | {"judge": JUDGE})
    added = [step for key, step in after.items() if key not in before]
    assert before.keys() < after.keys()
    assert {step.kind for step in added} == {"evaluate", "verdict"}
    assert len(added) == 3 * sum(step.kind == "evaluate" for step in before.values())


def test_students_are_compared_with_those_of_another_selection(files: Path) -> None:
    duel = DUEL | {"judge": {"model": "judge", "reference": {"selection": "all"}}}
    selection = [{"name": "all"}, {"name": "half", "by": "words", "keep": 0.5}]
    grid = build(study(duel, selection=selection, **{"except": [{"selection": "all"}]}), files)
    trained = [cell for cell in grid.cells if cell.train]
    assert trained and {cell.selection for cell in trained} == {"half"}
    for cell in trained:
        ((_, verdict),) = cell.evaluations
        mine, rival = (step.inputs[0] for step in verdict.inputs)
        assert mine is cell.train and rival.inputs[0].subject.endswith("/ all") and rival.key in grid.steps
        assert rival.params == mine.params and rival.inputs[0].inputs[0] is mine.inputs[0].inputs[0]
        assert cell.train and verdict.subject == f"d of {cell.train.subject} by judge"
    assert all(not cell.evaluations for cell in grid.cells if not cell.train), "an untuned model has no selection"
    whole = build(study(duel, selection=selection), files)
    assert {len(cell.evaluations) for cell in whole.cells if cell.selection == "all"} == {0}


def test_a_partial_training_is_compared_with_one_on_the_same_share_of_the_other_selection(files: Path) -> None:
    duel = DUEL | {"judge": {"model": "judge", "reference": {"selection": "all"}}}
    selection = [{"name": "all"}, {"name": "half", "by": "words", "keep": 0.5}]
    search = {"over": "selection", "rungs": {"shares": 0.25}}
    partial = build(study(duel, selection=selection, search=search), files).partial
    verdicts = [step for cell in partial for _, step in cell.evaluations]
    assert verdicts
    for verdict in verdicts:
        selected = [step.inputs[0].inputs[0] for step in verdict.inputs]
        assert [getattr(step.params, "share", None) for step in selected] == [0.25, 0.25]
        assert "/ half, 25 % of it" in selected[0].label and "/ all, 25 % of it" in selected[1].label


def test_a_models_answers_are_the_reference_of_all_students(files: Path) -> None:
    found = steps(files, DUEL | {"judge": JUDGE | {"reference": "other"}})
    verdicts = [step for step in found.values() if step.kind == "verdict"]
    assert len(verdicts) > 1 and len({step.inputs[1].key for step in verdicts}) == 1
    assert verdicts[0].inputs[1].label == "evaluate d of untuned other"
