"""The benchmarks of docs/extending.md: named by a study, asked, graded or judged, and in the report's numbers."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from actors.engine import Client, EngineSpec
from actors.engines.scripted_engine import ScriptedEngine
from pipelines.errors import InputError
from pipelines.evaluate.suite import answer_benchmark
from pipelines.execution.runtime.commit import commit_rows
from pipelines.execution.stream.operators import StreamInputs, make_stream_operator
from pipelines.planning.workload import estimate_workloads
from pipelines.results.report.collect.results import collect_results
from pipelines.results.report.data.report import Result
from pipelines.rows.types import AnswerRow, Row
from pipelines.store.store import Store
from pipelines.study.check import check
from pipelines.study.file.json_schema import schema
from pipelines.study.file.load import LoadedStudy, load
from pipelines.study.graph.build import build
from pipelines.study.graph.steps.step import Step
from prompts import catalog
from tests.pipelines.evaluate.conftest import Told
from tests.support.examples import use_example, write_example

STUDY = """\
study: new-benchmark
plugins: [./backwards.py, ./politeness.py]
seeds: [{name: world, world: {count: 1}}]
models: {tiny: {source: any, engine: scripted}}
evolution: {evolvers: [tiny], rounds: 1}
responses: {teachers: [tiny]}
recipes: {full: {}}
students: [{model: tiny, recipe: full}]
benchmarks: [BENCHMARK]
"""
WORDS = ("lamp", "river", "stone", "north")
REQUESTS = ("Pass the salt.", "Open the door.", "Say hello.", "Close it.")


def loaded(folder: Path, benchmark: str, rows: Iterable[Mapping[str, str]]) -> LoadedStudy:
    """The study with a benchmark on these rows, checked as before a run."""
    (folder / "items.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    for name in ("backwards.py", "politeness.py"):
        write_example(name, folder)
    (folder / "study.yaml").write_text(STUDY.replace("BENCHMARK", benchmark))
    found = load(folder / "study.yaml")
    check(found)
    return found


def answers(study: LoadedStudy, store: Store, step: Step, client: Client) -> list[AnswerRow]:
    """The committed answers of the untuned model."""
    rows, lost = asyncio.run(answer_benchmark(client, study.study.benchmarks[0], study.folder, 0, step.key))
    commit_rows(store, step, [*rows], lost, len(rows) + len(lost), 0.0)
    return rows


def results(study: LoadedStudy, store: Store, step: Step) -> dict[str, Result]:
    """The report's numbers of a finished step, by name."""
    grid = build(study.study, study.folder)
    manifests = {step.key: store.manifest(step.kind, step.key)}
    return {found.metric: found for found in collect_results(grid, store, manifests, study.folder)}


def untuned(study: LoadedStudy, kind: str) -> Step:
    steps = build(study.study, study.folder).steps.values()
    return next(step for step in steps if step.kind == kind and "untuned" in step.label)


def test_a_benchmark_that_a_rule_grades(tmp_path: Path) -> None:
    benchmark = "{name: spelling, task: backwards, file: items.jsonl}"
    study, store = loaded(tmp_path, benchmark, [{"text": word} for word in WORDS]), Store(str(tmp_path / "store"))
    step = untuned(study, "evaluate")
    assert step.payload["asked_by"]["prompts"]["bench_backwards"] == catalog.get("bench_backwards").digest

    def says(messages: tuple[tuple[str, str], ...]) -> str:
        """Every word backwards but one."""
        word = messages[-1][1].split('"')[1]
        return word if word == "north" else f" {word[::-1].upper()}\n"

    client = Told(says)
    rows = answers(study, store, step, client)
    assert [row.correct for row in rows] == [True, True, True, False]
    assert {request.sampling.max_tokens for request in client.asked} == {16}
    found = results(study, store, step)
    assert list(found) == ["accuracy"] and found["accuracy"].value == 75.0
    assert found["accuracy"].benchmark == "spelling" and found["accuracy"].low < 75.0 < found["accuracy"].high


def test_a_benchmark_that_a_model_judges(tmp_path: Path) -> None:
    benchmark = "{name: manners, task: politeness, file: items.jsonl, limit: 4, judge: {model: tiny}}"
    study, store = loaded(tmp_path, benchmark, [{"instruction": text} for text in REQUESTS]), Store(f"{tmp_path}/store")
    step, engine = untuned(study, "verdict"), ScriptedEngine(EngineSpec("scripted", "tiny"))
    assert step.payload["prompts"]["judge_politeness"] == catalog.get("judge_politeness").digest
    inputs = StreamInputs(step, engine, 0, store=store, folder=study.folder, runner=None)
    judge = make_stream_operator(inputs)
    judged: list[Row] = [
        asyncio.run(judge(row, f"{n:032x}")) for n, row in enumerate(answers(study, store, step.inputs[0], engine))
    ]
    commit_rows(store, step, judged, [], len(judged), 0.0)
    ratings = [row.measure("politeness") or 0 for row in judged if isinstance(row, AnswerRow)]
    found = results(study, store, step)
    assert list(found) == ["politeness", "unparsed"] and found["unparsed"].value == 0.0
    assert len(ratings) == 4 and found["politeness"].value == pytest.approx(10 * sum(ratings) / 4)
    work = estimate_workloads(build(study.study, study.folder), {}, {})[step.key]
    assert (work.model, work.rows_in) == ("tiny", 4) and work.tokens_in == 4 * (300 + 2 * 60)


@pytest.mark.parametrize(
    ("benchmark", "told"),
    [
        ("{name: b, task: backwards, file: items.jsonl, shots: 3}", "'shots' is not allowed for backwards, only for "),
        ("{name: b, task: backwards}", "backwards has no data set on the hub that evolgrid can read. Name"),
        ("{name: b, task: politeness, file: items.jsonl}", "politeness needs a judge"),
        ("{name: b, task: politeness, file: items.jsonl, judge: {model: tiny, swap: true}}", "'swap' is not allowed"),
    ],
)
def test_a_study_that_misuses_them_is_told_why(tmp_path: Path, benchmark: str, told: str) -> None:
    with pytest.raises(InputError, match=re.escape(told)):
        loaded(tmp_path, benchmark, [])


def test_editors_know_the_new_names(tmp_path: Path) -> None:
    use_example("backwards.py", tmp_path)
    task = schema()["$defs"]["Benchmark"]["properties"]["task"]
    assert task["anyOf"][0]["enum"][-1] == "backwards"
