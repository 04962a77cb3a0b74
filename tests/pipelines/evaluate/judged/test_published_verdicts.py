"""AlpacaEval's published verdicts, replayed through a server that gives the published log-probabilities."""

from __future__ import annotations

import asyncio
import csv
import gzip
import json
import math
from pathlib import Path
from typing import Any

import pytest

from actors.engine import EngineSpec
from actors.engines.http_engine import HttpEngine
from pipelines.evaluate.items.answers import answer_row, with_grade
from pipelines.evaluate.items.item import Item
from pipelines.evaluate.judged import alpaca_eval, mt_bench, questions
from pipelines.evaluate.judged.judge_client import JudgeCase, JudgeClient
from pipelines.evaluate.registry import REFERENCES
from pipelines.evaluate.scores import headline_score
from pipelines.evaluate.suite import load_items
from pipelines.rows.types import AnswerRow
from pipelines.study.spec.evaluation.benchmarks import Benchmark, Judge
from tests.actors.engines.servers.odd_server import Body, OddServer, completion, error, json_reply, odd_server

JUDGE = Judge(model="judge", reference="gpt4")
BENCH = Benchmark.model_validate(
    {"name": "b", "task": "alpaca_eval", "file": "f.json", "judge": JUDGE.model_dump(exclude_unset=True)}
)
Annotation = dict[str, Any]


def test_the_published_log_probabilities_give_the_published_win_rates(shared_data: Path) -> None:
    """Of every model whose annotations are among the data."""
    with (shared_data / "alpaca_eval/leaderboard_v2.csv").open(newline="") as table:
        published = {row[""]: float(row["win_rate"]) for row in csv.DictReader(table)}
    files = sorted((shared_data / "alpaca_eval").glob("*.annotations.json.gz"))
    assert files
    for path in files:
        with gzip.open(path, "rt") as file:
            annotations: list[Annotation] = json.load(file)
        with odd_server() as server:
            serve_published(server, annotations)
            rows = asyncio.run(replay(server.url, annotations))
        for found, annotation in zip(rows, annotations, strict=True):
            assert found.measure("win rate") == pytest.approx(annotation["preference"] - 1, abs=1e-8)
        assert headline_score(BENCH, rows) == pytest.approx(published[path.name.partition(".annotations")[0]], abs=1e-7)
        assert {(body["max_tokens"], body["top_logprobs"]) for body in server.bodies[1:]} == {(1, 5)}


async def replay(url: str, annotations: list[Annotation]) -> list[AnswerRow]:
    engine = HttpEngine(EngineSpec("http", "m", options=(("url", url),), needs=("top_logprobs",)))

    async def one(number: int, annotation: Annotation) -> AnswerRow:
        question, mine = annotation["instruction"], annotation["output_2"]
        case = JudgeCase((question,), (mine,), other=(annotation["output_1"],))
        judgement = await alpaca_eval.judge(JudgeClient(engine, str(number), 64), case, JUDGE)
        item = Item(str(number), (("user", question),))
        return with_grade(answer_row(item.id, item, 0, item.messages, [mine], "stop"), judgement.grade)

    try:
        return await asyncio.gather(*(one(*each) for each in enumerate(annotations)))
    finally:
        engine.close()


def serve_published(server: OddServer, annotations: list[Annotation]) -> None:
    """Give the published log-probabilities, with the labels exchanged if the answers are shown in the other order."""
    published = [each for each in annotations if each["raw_completion"]]

    def respond(number: int, body: Body, request: object) -> Any:
        prompt = body["messages"][-1]["content"]
        annotation = next((each for each in published if shown(each) in prompt), None)
        if annotation is None:
            return json_reply(with_top([{"token": "m", "logprob": -0.1}])) if number == 1 else error(400, "unknown")
        top = annotation["raw_completion"]["logprobs"]["content"][0]["top_logprobs"]
        mine = "m" if alpaca_eval.is_shown_first(annotation["instruction"]) else "M"
        return json_reply(
            with_top(top if mine == published_label(annotation, top) else [exchanged(each) for each in top])
        )

    server.respond = respond


def shown(annotation: Annotation) -> str:
    return f'"""{annotation["instruction"]}"""'


def published_label(annotation: Annotation, top: list[Annotation]) -> str:
    """Return under which label the judge was shown the second answer, whose probability is the preference."""
    of = {"m": 0.0, "M": 0.0} | {each["token"]: math.exp(each["logprob"]) for each in top}
    return "m" if abs(of["m"] / (of["m"] + of["M"]) + 1 - annotation["preference"]) < 1e-8 else "M"


def exchanged(entry: Annotation) -> Annotation:
    return entry | {"token": {"m": "M", "M": "m"}.get(entry["token"], entry["token"])}


def with_top(top: list[Annotation]) -> Body:
    body = completion(top[0]["token"], "length")
    body["choices"][0]["logprobs"] = {"content": [top[0] | {"top_logprobs": top}]}
    return body


@pytest.mark.parametrize(
    ("task", "items", "references", "count"),
    [
        ("alpaca_eval", "alpaca_eval/alpaca_eval.json.gz", "alpaca_eval/gpt4_1106_preview.model_outputs.json.gz", 805),
        ("alpaca_eval", "alpaca_eval/alpaca_eval.json.gz", "alpaca_eval/text_davinci_003.model_outputs.json.gz", 805),
        (
            "arena_hard",
            "arena_hard/arena-hard-v0.1.question.jsonl.gz",
            "arena_hard/arena-hard-v0.1.model_answer.gpt-4-0314.jsonl.gz",
            500,
        ),
        (
            "arena_hard",
            "arena_hard/arena-hard-v2.0.question.jsonl.gz",
            "arena_hard/arena-hard-v2.0.model_answer.o3-mini-2025-01-31.jsonl.gz",
            750,
        ),
        ("mt_bench", "mt_bench/vicuna_bench.question.jsonl", "mt_bench/vicuna_bench.reference_answer.gpt-4.jsonl", 80),
    ],
)
def test_published_items_have_their_published_references(
    shared_data: Path, task: str, items: str, references: str, count: int
) -> None:
    judge = {"model": "judge", "reference": references}
    bench = Benchmark.model_validate({"name": "b", "task": task, "file": items, "judge": judge})
    found = load_items(bench, shared_data, seed=0)
    answers = REFERENCES.get(task, questions.read_references)(shared_data / references, found)
    assert len(found) == count
    without = [item.kind for item in found if item.id not in answers]
    needed = mt_bench.CATEGORIES_WITH_REFERENCE if task == "mt_bench" else {item.kind for item in found}
    assert not needed & {*without}
    assert sum(not any(texts) for texts in answers.values()) < count / 20, "text-davinci-003 has empty answers"
