"""Errors in a benchmark are reported with their line before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.errors import InputError
from pipelines.study.check import check
from pipelines.study.file.load import load
from pipelines.study.inputs import benchmarks as benchmark_check

STUDY = """\
study: small
seeds: [{name: world, world: {count: 1}}]
models: {tiny: {source: any, engine: scripted}}
evolution: {evolvers: [tiny], rounds: 1}
responses: {teachers: [tiny]}
benchmarks:
  - {name: b, BENCH}
"""


def problem(folder: Path, benchmark: str) -> str:
    (folder / "there.jsonl").write_text("{}")
    path = folder / "study.yaml"
    path.write_text(STUDY.replace("BENCH", benchmark))
    with pytest.raises(InputError) as caught:
        check(load(path))
    return str(caught.value).replace(f"{path}:", "").replace(f"{folder}/", "")


@pytest.mark.parametrize(
    ("benchmark", "told"),
    [
        ("task: ifevil", "7: benchmarks[0].task: must be one of ifeval, "),
        ("task: gsm8k, world: {count: 1}", "give exactly one of 'world', 'task' and 'lm_eval'"),
        ("task: ifeval, protocol: opencompass", "'protocol' is not allowed for ifeval, only for "),
        ("task: humaneval, judge: {model: tiny}", "'judge' is not allowed for humaneval, only for "),
        ("task: mt_bench, file: there.jsonl", "mt_bench needs a judge"),
        ("task: arena_hard, judge: {model: tiny, reference: tiny, swap: true}", "'swap' is not allowed for arena_hard"),
        (
            "task: gsm8k, file: there.jsonl, thousands: false",
            "'thousands' is only allowed with 'protocol: opencompass'",
        ),
        ("task: compare, file: there.jsonl, judge: {model: tiny}", "add 'reference' under 'judge'"),
        ("task: gsm8k, shots: 0, file: nowhere.jsonl", "7: benchmarks[0].file: nowhere.jsonl: no such file"),
        ("task: gsm8k, file: there.jsonl", "Name the training split as 'shots_file'"),
        ("task: mmlu, file: there.jsonl", "neither a folder nor a zip file"),
        (
            "task: arena_hard, judge: {model: tiny, reference: tiny}",
            "has no data set on the hub that evolgrid can read",
        ),
        ("task: mt_bench, file: there.jsonl, judge: {model: tini}", "no model is named 'tini'. Did you mean 'tiny'?"),
        (
            "task: compare, file: there.jsonl, judge: {model: tiny, reference: tini}",
            "judge.reference: tini: neither a model of this study nor a file. Did you mean 'tiny'?",
        ),
    ],
)
def test_a_mistake_is_told_with_its_remedy(tmp_path: Path, benchmark: str, told: str) -> None:
    assert told in problem(tmp_path, benchmark)


def test_a_missing_package_is_told_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark_check, "find_spec", lambda name: None)
    told = problem(tmp_path, "lm_eval: arc_easy")
    assert "needs lm-eval, which is not installed. Install it: pip install 'evolgrid[eval]'" in told


def test_missing_sentences_are_told_for_ifeval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark_check, "has_sentences", lambda: False)
    assert "set NLTK_DATA to a folder" in problem(tmp_path, "task: ifeval, file: there.jsonl")


def test_a_benchmark_that_is_judged_without_references_is_noted(tmp_path: Path) -> None:
    judged = "task: mt_bench, file: f.jsonl, judge: {model: tiny%s}"
    notes: list[list[str]] = []
    for reference in ("", ", reference: gold.jsonl"):
        (tmp_path / "study.yaml").write_text(STUDY.replace("BENCH", judged % reference))
        notes.append([*benchmark_check.reference_notes(load(tmp_path / "study.yaml").study)])
    assert notes == [["benchmarks.b: without 'reference', all answers are judged without a reference answer"], []]
