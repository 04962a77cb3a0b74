"""Evaluations and verdicts as steps: every item is a row or a failed row, and judges read what models answered."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from actors.engine import EngineLost
from actors.serving.pool import Pool
from actors.serving.spec import PoolSpec, ReplicaResources
from cluster.resources.inventory import max_inventory
from pipelines.cli.views.answer import answer_facts
from pipelines.errors import InputError
from pipelines.evaluate.items.answers import answer_row, with_grade
from pipelines.evaluate.items.item import Item, exact_grade
from pipelines.evaluate.scores import scores
from pipelines.evaluate.suite import Answers, answer_benchmark, load_items
from pipelines.evaluate.task_texts import task_texts
from pipelines.execution.runtime.commit import commit_rows
from pipelines.execution.runtime.context import RunContext
from pipelines.execution.runtime.progress import ProgressDisplay
from pipelines.execution.stream.operators import StreamInputs, make_stream_operator
from pipelines.execution.training.evaluation import evaluate, journaled_answers
from pipelines.planning.plan import make_plan
from pipelines.rows.arrow import from_table
from pipelines.rows.types import AnswerRow
from pipelines.store.journaled_client import JournaledClient, journaling
from pipelines.store.store import Store
from pipelines.study.graph.build import build
from pipelines.study.graph.steps.identities import reference_identity
from pipelines.study.graph.steps.step import Step
from pipelines.study.inputs.models import engine_spec
from pipelines.study.inputs.references import check_reference
from pipelines.study.spec.evaluation.benchmarks import Benchmark
from pipelines.study.spec.study import Study
from tests.pipelines.evaluate.conftest import Told
from tests.support.studies import scripted_study

QUESTIONS = [{"instruction": f"Question {n}?"} for n in range(4)]


def written(folder: Path) -> None:
    rows = [{"question": f"{n}?", "answer": f"#### {n}"} for n in range(3)]
    (folder / "gsm.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    with gzip.open(folder / "ask.json.gz", "wt") as file:
        json.dump(QUESTIONS, file)
    (folder / "gold.json").write_text(json.dumps([row | {"output": "Gold."} for row in QUESTIONS]))
    problem = {"task_id": "T/0", "prompt": "def f(x):\n", "entry_point": "f", "canonical_solution": "    return x\n"}
    (folder / "code.jsonl").write_text(json.dumps(problem | {"test": "def check(f):\n    assert f(1) == 1\n"}))


def study(*benchmarks: dict[str, Any]) -> Study:
    return scripted_study(
        scoring=None,
        recipes={"full": {}},
        students=[{"model": "small", "recipe": "full"}],
        benchmarks=list(benchmarks),
    )


def first(found: Study, folder: Path, kind: str) -> Step:
    return next(step for step in build(found, folder).steps.values() if step.kind == kind)


DUEL = {"name": "duel", "task": "compare", "file": "ask.json.gz", "judge": {"model": "large", "reference": "gold.json"}}


def test_every_item_is_a_row_or_a_failed_row(tmp_path: Path) -> None:
    written(tmp_path)
    bench = Benchmark(name="duel", task="compare", file="ask.json.gz", judge=DUEL["judge"])
    client = Told(lambda messages: None if "2" in messages[-1][1] else "So.")
    rows, lost = asyncio.run(answer_benchmark(client, bench, tmp_path, 0, "key"))
    assert [row.item for row in rows] == ["0", "1", "3"] and [one.index for one in lost] == [2]
    assert (lost[0].status, lost[0].reason) == ("failed", "too_long")
    assert json.loads(rows[0].messages) == [["user", "Question 0?"]] and rows[0].answers == ["So."]


def test_later_turns_follow_the_answers_before_them(tmp_path: Path) -> None:
    turns = {"question_id": 81, "category": "writing", "turns": ["First?", "Second?"]}
    (tmp_path / "mt.jsonl").write_text(json.dumps(turns))
    bench = Benchmark.model_validate({"name": "m", "task": "mt_bench", "file": "mt.jsonl", "judge": {"model": "large"}})
    client = Told(lambda messages: f"Answer {len(messages)}.")
    rows, _ = asyncio.run(answer_benchmark(client, bench, tmp_path, 0, "key"))
    assert rows[0].answers == ["Answer 1.", "Answer 3."]
    assert [role for role, _ in client.asked[1].messages] == ["user", "assistant", "user"]
    assert {request.sampling.temperature for request in client.asked} == {0.7}


def test_a_judge_reads_answers_and_every_verdict_is_a_row(tmp_path: Path) -> None:
    written(tmp_path)
    found, store = study(DUEL), Store(str(tmp_path / "store"))
    step = first(found, tmp_path, "verdict")
    bench = found.benchmarks[0]
    rows, lost = asyncio.run(answer_benchmark(Told(lambda _: "Mine."), bench, tmp_path, 0, step.inputs[0].key))
    commit_rows(store, step.inputs[0], [*rows], lost, 4, 0.0)
    judge = Told(lambda _: "Assistant 1 is better than Assistant 2")
    act = make_stream_operator(StreamInputs(step, judge, 0, store=store, folder=tmp_path, runner=None))
    made = [asyncio.run(act(row, f"{n:032x}")) for n, row in enumerate(rows)]
    assert scores(bench, made) == {"win": 100.0, "tie": 0.0, "lose": 0.0, "unparsed": 0.0}
    assert {(row.response, row.other, len(row.raw)) for row in made} == {("Mine.", "Gold.", 1)}
    assert [row.parent_id for row in made] == [row.id for row in rows]


def test_answers_of_another_file_are_no_reference(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "gold.json").write_text(json.dumps([{"instruction": "Something else", "output": "Gold."}]))
    step = first(study(DUEL), tmp_path, "verdict")
    store, client = Store(str(tmp_path / "store")), Told(lambda _: "")
    with pytest.raises(InputError, match="4 of 4 items have no answer"):
        make_stream_operator(StreamInputs(step, client, 0, store=store, folder=tmp_path, runner=None))


@pytest.mark.parametrize(("text", "complaint"), [("", "no items"), ("[1]", "not JSON objects"), ("{", "JSON Lines")])
def test_a_file_without_items_is_told(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "bad.jsonl").write_text(text)
    bench = Benchmark.model_validate({"name": "a", "task": "compare", "file": "bad.jsonl", "judge": DUEL["judge"]})
    with pytest.raises(InputError, match=complaint):
        load_items(bench, tmp_path, 0)


def test_an_answer_tells_what_was_asked_said_and_read() -> None:
    asked = Item("7", (("system", "Be short."), ("user", "Why?")), "Because.", "reasons")
    row = with_grade(answer_row("0" * 32, asked, 0, asked.messages, ["So."], "length"), exact_grade(False, "no reason"))
    told = [tuple(one) for one in answer_facts(row, judged=False)]
    assert told[:4] == [("item", "7 (reasons)"), ("system", "Be short."), ("user", "Why?"), ("answer", "So.")]
    assert told[4:] == [
        ("reference", "Because."),
        ("outcome", "cut off at the token limit"),
        ("read as", "no reason"),
        ("measures", "accuracy 0"),
    ]


@pytest.mark.parametrize(
    ("benchmark", "texts"),
    [
        ({"name": "g", "task": "gsm8k", "file": "gsm.jsonl", "shots": 0, "limit": 2}, ["0?", "1?"]),
        ({"name": "c", "task": "humaneval", "file": "code.jsonl"}, ["def f(x):\n"]),
        (DUEL, [row["instruction"] for row in QUESTIONS]),
    ],
)
def test_contamination_is_looked_for_in_the_questions(
    tmp_path: Path, benchmark: dict[str, Any], texts: list[str]
) -> None:
    written(tmp_path)
    found = study(benchmark)
    assert check_reference(found, tmp_path, benchmark["name"]) == ""
    assert task_texts(found, tmp_path, benchmark["name"]) == texts
    before = reference_identity(found, tmp_path, benchmark["name"])
    (tmp_path / benchmark["file"]).write_bytes(b"")
    assert reference_identity(found, tmp_path, benchmark["name"]) != before


def untuned(steps: tuple[Step, ...], name: str) -> Step:
    return next(step for step in steps if step.label.startswith(f"evaluate {name} of untuned"))


@pytest.mark.usefixtures("ray_local")
def test_code_and_lm_evals_tasks_run_apart_on_ray(tmp_path: Path) -> None:
    written(tmp_path)
    gsm = {"name": "gsm", "task": "gsm8k", "file": "gsm.jsonl", "shots": 0, "limit": 2}
    code = {"name": "code", "task": "humaneval", "file": "code.jsonl"}
    found, store = study(gsm, code), Store(str(tmp_path / "store"))
    plan = make_plan(found, tmp_path, store)
    context = RunContext(found, tmp_path, store, ProgressDisplay(Console(file=io.StringIO())), max_inventory())
    spec = engine_spec(found.models["small"], tmp_path)
    pool = Pool(PoolSpec(spec, "evaluated", ReplicaResources(0.1, 0), max_ongoing_requests=8))
    try:
        for name, count in (("gsm", 2), ("code", 1)):
            step = untuned(plan.pending, name)
            rows, lost = evaluate(context, step, pool.client())
            assert len(rows) == count and not lost and not any(row.correct for row in rows)
            commit_rows(store, step, [*rows], lost, count, 0.0)
            assert len(from_table(AnswerRow, store.rows("evaluate", step.key))) == count
        assert rows[0].words[0] == "raised", "the scripted answer is no Python"
    finally:
        pool.close()


@pytest.mark.parametrize("protocol", [pytest.param("lm-eval", marks=pytest.mark.torch), "opencompass"])
def test_an_evaluation_that_is_interrupted_asks_nothing_twice(tmp_path: Path, protocol: str) -> None:
    lines = [{"question": f"What is {n} + 1?", "answer": f"#### {n + 1}"} for n in range(3)]
    (tmp_path / "gsm.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    told = {"name": "gsm8k", "task": "gsm8k", "file": "gsm.jsonl", "shots": 0, "protocol": protocol}
    bench, store = Benchmark.model_validate(told), Store(str(tmp_path / "store"))

    def dies(messages: tuple[tuple[str, str], ...]) -> str:
        if "2 + 1" in messages[-1][1]:
            raise EngineLost("model", "gone")
        return "#### 1"

    with pytest.raises(EngineLost):
        answers_kept(Told(dies), bench, tmp_path, store)
    again = Told(lambda _: "#### 3")
    rows, _ = answers_kept(again, bench, tmp_path, store)
    assert len(again.asked) == 1 and [row.correct for row in rows] == [True, False, True]


def answers_kept(client: Told, bench: Benchmark, folder: Path, store: Store) -> Answers:
    if bench.harness:
        return journaled_answers(client, bench, folder, store, "evaluate", "key")
    with journaling(store, "evaluate", "key"):
        return asyncio.run(answer_benchmark(JournaledClient(client, "evaluate", "key"), bench, folder, 0, "key"))
