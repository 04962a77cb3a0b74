"""Whole benchmarks through the sandbox: no honest solution is blocked, no wrong one passes."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from actors.sandbox.checks import humaneval_check, mbpp_check
from actors.sandbox.protocol.job import Check, Limits
from actors.sandbox.sandbox import Sandbox

LIMITS = Limits(wall_seconds=60, cpu_seconds=30)  # one reference solution takes seconds on a busy machine


def rows(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        pytest.skip(f"no {path}")
    with gzip.open(path, "rt") as file:
        return json.load(file) if path.name.endswith(".json.gz") else [json.loads(line) for line in file]


def failed(sandbox: Sandbox, checks: list[Check]) -> list[str]:
    outcomes = sandbox.map(sandbox.check, checks)
    assert len(outcomes) == len(checks)
    return [f"{outcome.id}: {outcome.status} {outcome.detail}" for outcome in outcomes if outcome.value is not True]


def test_all_reference_solutions_of_humaneval_pass(sandbox: Sandbox, shared_data: Path) -> None:
    table = rows(shared_data / "humaneval/HumanEval.jsonl.gz")
    assert len(table) == 164
    assert not failed(sandbox, [humaneval_check(row, row["canonical_solution"], LIMITS) for row in table])


@pytest.mark.parametrize(("name", "count"), [("mbpp.jsonl.gz", 974), ("sanitized-mbpp.json.gz", 427)])
def test_reference_solutions_of_mbpp_pass(
    sandbox: Sandbox, shared_data: Path, rounds: int, name: str, count: int
) -> None:
    table = rows(shared_data / "mbpp" / name)
    assert len(table) == count
    odd = {126, 367, 533, 596, 601, 737, 927}
    some = [row for row in table if rounds > 2 or row["task_id"] % 8 == 0 or row["task_id"] in odd]
    assert not failed(sandbox, [mbpp_check(row, row["code"], LIMITS) for row in some])


def test_published_verdicts_of_a_model_are_reproduced(sandbox: Sandbox, shared_data: Path) -> None:
    problems = {row["task_id"]: row for row in rows(shared_data / "humaneval/HumanEval.jsonl.gz")}
    answers = rows(shared_data / "humaneval/wizardcoder15b_samples.results.jsonl.gz")
    checks = [humaneval_check(problems[answer["task_id"]], answer["completion"]) for answer in answers]
    wrong = {line.partition(": ")[0] for line in failed(sandbox, checks)}
    assert wrong == {answer["task_id"] for answer in answers if not answer["passed"]}
    assert len(answers) - len(wrong) == 98


def test_solutions_of_other_problems_fail(sandbox: Sandbox, shared_data: Path) -> None:
    table = rows(shared_data / "humaneval/HumanEval.jsonl.gz")[:20]
    checks = [humaneval_check(row, "    return None\n") for row in table]
    assert len(failed(sandbox, checks)) == len(table)


def test_helper_of_the_prompt_is_not_the_solutions_own(sandbox: Sandbox, shared_data: Path) -> None:
    row = next(row for row in rows(shared_data / "humaneval/HumanEval.jsonl.gz") if row["entry_point"] == "find_zero")
    fake = "    return 1\ndef poly(xs, x): return 0\n"
    assert sandbox.check(humaneval_check(row, fake)).value is not True


@pytest.mark.parametrize(
    ("solution", "status", "detail"),
    [
        ("def f(x): return x + 2", "raised", "AssertionError"),
        ("def f(x): raise ValueError('no')", "raised", "ValueError: no"),
        ("def f(x) return x", "raised", "SyntaxError"),
        ("def g(x): return x", "raised", "KeyError"),
        ("def f(x): return object()", "raised", "not a plain value"),
        ("def f(x): return lambda: 2", "raised", "not a plain value"),
        ("import os\ndef f(x): os._exit(3)", "killed", "exit code 3"),
        ("def f(x):\n    while True: pass", "timeout", ""),
        ("def f(x): return 'x' * (8 << 20)", "raised", "bytes"),
    ],
)
def test_failure_tells_its_reason(sandbox: Sandbox, solution: str, status: str, detail: str) -> None:
    check = Check("x", solution, "assert f(1) == 2", ("f",), limits=Limits(wall_seconds=2, cpu_seconds=1))
    outcome = sandbox.check(check)
    assert (outcome.status, outcome.value) == (status, None)
    assert detail in outcome.detail


def test_tests_that_catch_everything_do_not_catch_a_dead_solution(sandbox: Sandbox) -> None:
    tests = "try:\n    f(1)\nexcept Exception:\n    pass"
    outcome = sandbox.check(Check("x", "import os\ndef f(x): os._exit(0)", tests, ("f",)))
    assert (outcome.status, outcome.value) == ("killed", None)
