"""HumanEval and MBPP: which code of an answer is run, and what the sandbox says of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from actors.sandbox.protocol.job import Check, Outcome, SandboxError
from actors.sandbox.sandbox import Sandbox
from benchmarks.replays import references, wizard
from pipelines.evaluate.graders.code import HumanEval, first_block, first_closed_block, opencompass_code
from pipelines.evaluate.items.answers import answer_row
from pipelines.evaluate.items.data_files import read_records
from pipelines.evaluate.suite import grade_answer, load_items
from pipelines.study.spec.evaluation.benchmarks import Benchmark


@pytest.mark.parametrize(("kind", "count"), [("humaneval", 164), ("mbpp", 500)])
def test_reference_solutions_pass(sandbox: Sandbox, shared_data: Path, kind: str, count: int) -> None:
    path = shared_data / {"humaneval": "humaneval/HumanEval.jsonl.gz", "mbpp": "mbpp/mbpp.jsonl.gz"}[kind]
    assert len(load_items(Benchmark.model_validate({"name": kind, "task": kind, "file": str(path)}), path, 0)) == count
    assert references(kind, path, sandbox, 40) == (40, 40), "all of them: python -m benchmarks.replays"


def test_published_verdicts_are_ours(sandbox: Sandbox, shared_data: Path) -> None:
    agree, answers, passed = wizard(shared_data, sandbox, 60)
    assert agree == answers == 60 and 0 < passed < 60


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Sure:\n```python\ndef f():\n    return 1\n```\nDone.", "def f():\n    return 1\n"),
        ("```\nx = 1\n```\n```\nx = 2\n```", "x = 1\n"),
        ("```python\nx = 1", "x = 1"),
        ("    return 1\n", "    return 1\n"),
    ],
)
def test_the_first_block_or_all_of_it_is_run(text: str, found: str) -> None:
    assert first_block(text) == found


@pytest.mark.parametrize(
    "text",
    ["[BEGIN]\n 'def f(): pass' \n[DONE] \n\n ", "[BEGIN]\ndef f(): pass\n[DONE]",
     "```python\ndef f(): pass\n```", "def f(): pass\n[DONE]", "[BEGIN]\ndef f(): pass"],
)  # fmt: skip
def test_opencompass_finds_code_between_its_marks(text: str) -> None:
    assert opencompass_code(text).strip() == "def f(): pass"


def test_opencompass_finds_no_code_in_a_fence_between_its_marks() -> None:
    assert opencompass_code("[BEGIN]\n```python\ndef f(): pass\n```\n[DONE]") == ""


def test_gold_programs_of_mbpp_between_marks_are_read_whole(shared_data: Path) -> None:
    rows = read_records(shared_data / "mbpp/mbpp.jsonl.gz")
    golds = [row["code"].replace("\r\n", "\n").strip() for row in rows]
    assert [gold for gold in golds if opencompass_code(f"[BEGIN]\n{gold}\n[DONE]") != gold] == []


@pytest.mark.parametrize("text", ["    return 1\n", "```python\n    return 1\n```"])
def test_opencompass_keeps_the_indentation_of_a_bare_body(text: str) -> None:
    assert first_closed_block(text) == "    return 1\n"


def test_a_whole_function_in_a_block_stands_in_for_the_prompts(sandbox: Sandbox, shared_data: Path) -> None:
    path = shared_data / "humaneval/HumanEval.jsonl.gz"
    for protocol in ("lm-eval", "opencompass"):
        bench = Benchmark.model_validate(
            {"name": "h", "task": "humaneval", "file": str(path), "limit": 1, "protocol": protocol}
        )
        (item,) = load_items(bench, path, 0)
        whole = f"Here it is:\n```python\n{item.data['prompt']}{item.reference}```"
        assert sandbox.check(HumanEval().check(bench, item, whole)).value is True
        assert sandbox.check(HumanEval().check(bench, item, "```python\nreturn None\n```")).value is not True


class Broken:
    async def check(self, check: Check) -> Outcome:
        return Outcome(check.id, "infrastructure", detail="no memory")


def test_a_sandbox_that_fails_is_no_verdict(shared_data: Path) -> None:
    path = shared_data / "humaneval/HumanEval.jsonl.gz"
    bench = Benchmark(name="h", task="humaneval", file=str(path), limit=1)
    (item,) = load_items(bench, path, 0)
    row = answer_row("0", item, 0, item.messages, ["    pass"], "stop")
    with pytest.raises(SandboxError, match="h, HumanEval/0: no memory"):
        asyncio.run(grade_answer(bench, item, row, Broken()))
