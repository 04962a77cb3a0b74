"""HumanEval and MBPP: prompts of lm-eval's instruct tasks or of OpenCompass, and answers that run in the sandbox.

lm-eval executes answers in its own process. Therefore only the prompts and the extraction rules of its tasks are used.
Its prompts contain the start of the model's answer ("Here is the completed function: ..."), which chat endpoints do not
support; here the prompts end before it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Protocol

import prompts
from actors.sandbox.checks import humaneval_check, mbpp_check
from actors.sandbox.protocol.job import Check, Limits, Outcome, SandboxError
from pipelines.evaluate.items.data_files import read_records, require_fields
from pipelines.evaluate.items.item import Grade, Item, Turns, exact_grade, template
from pipelines.study.spec.evaluation.benchmarks import Benchmark

MBPP_TEST = range(11, 511)  # task ids of the test split (2108.07732)
# limits of the tests' CPU time, as in OpenCompass; the wall time limit is larger, because the machine may be busy
HUMANEVAL_CPU_SECONDS = 3
MBPP_CPU_SECONDS = 10
WALL_FACTOR = 5
_FENCED = re.compile(r"```[ \t]*\w*[ \t]*\r?\n(.*?)(?:```|\Z)", re.DOTALL)
_CLOSED_FENCE = re.compile(r"```\w*\n(.*?)```", re.DOTALL)
_BEGIN, _DONE = (r"\[BEGIN\]", "BEGIN"), (r"\[DONE\]", "DONE")
_MARKER_PATTERNS = (  # OpenCompass 0.3.3, in the order in which they are tried
    *(rf"{begin}\s*'(.*)'\s*{done}" for done in _DONE for begin in _BEGIN),
    *(rf"{begin}\s*'(.*)\s*{done}" for done in _DONE for begin in _BEGIN),
    *(rf"{begin}\s*(.*)\s*{done}" for done in _DONE for begin in _BEGIN),
    r"```python\s*(.*)\s*```", r"```\s*(.*)\s*```", r"```python\s*(.*)\s*$", r"```\s*(.*)\s*$", r"(.*)\s*```.*",
    r"\[BEGIN\]\s*'(.*)", r"\[BEGIN\](.*)", r"'(.*)'\s*\[DONE\]",
)  # fmt: skip


class Checker(Protocol):
    """Runs checks. The client of a sandbox implements it."""

    async def check(self, check: Check) -> Outcome:
        """Run a solution under its tests and return the outcome."""
        ...


class HumanEval:
    """The model completes a function from its signature and docstring."""

    def items(self, bench: Benchmark, path: Path) -> list[Item]:
        """Return the problems of a file."""
        return [self._item(bench, row, path) for row in read_records(path)[: bench.limit]]

    def _item(self, bench: Benchmark, row: dict[str, Any], path: Path) -> Item:
        name, prompt, solution = require_fields(row, path, "task_id", "prompt", "canonical_solution")
        return Item(str(name), template(bench).turns(prompt=prompt), solution, data=row)

    def check(self, bench: Benchmark, item: Item, response: str) -> Check:
        """Return the check that runs the answer, a whole function or its body, under the problem's tests."""
        read = first_closed_block if bench.protocol == "opencompass" else first_block
        return humaneval_check(item.data, read(response), _limits(HUMANEVAL_CPU_SECONDS))


class Mbpp:
    """The model writes a function from a one-sentence description and some tests."""

    def items(self, bench: Benchmark, path: Path) -> list[Item]:
        """Return the problems of a file. If it is the full MBPP, return only the test split."""
        rows = read_records(path)
        test = [row for row in rows if row.get("task_id") in MBPP_TEST]
        chosen = test if "text" in (rows or [{}])[0] else rows
        return [self._item(bench, row, path) for row in chosen[: bench.limit]]

    def _item(self, bench: Benchmark, row: dict[str, Any], path: Path) -> Item:
        name, tests, solution = require_fields(row, path, "task_id", "test_list", "code")
        asked = template(bench).turns(text=row.get("text") or row.get("prompt", ""), tests="\n".join(tests))
        return Item(str(name), (*_examples(bench), *asked), solution, data=row)

    def check(self, bench: Benchmark, item: Item, response: str) -> Check:
        """Return the check that runs the answered function under the problem's tests."""
        found = opencompass_code(response) if bench.protocol == "opencompass" else first_block(response)
        return mbpp_check(item.data, found, _limits(MBPP_CPU_SECONDS))


def _limits(cpu_seconds: int) -> Limits:
    return Limits(wall_seconds=WALL_FACTOR * cpu_seconds, cpu_seconds=cpu_seconds)


def _examples(bench: Benchmark) -> Turns:
    """Return MBPP's examples (up to three) in OpenCompass' format, or with fenced code in lm-eval's format."""
    found: list[tuple[str, str]] = []
    for question, answer in prompts.shots("mbpp").examples[: bench.shots]:
        if bench.protocol == "lm-eval":
            text, tests = question.removeprefix("You are an expert Python programmer, and here is your task: ").split(
                " Your code should pass these tests:\n\n "
            )
            question = template(bench).render(text=text, tests=tests)
            answer = f"```python\n{opencompass_code(answer)}\n```"
        found += [("user", question), ("assistant", answer)]
    return tuple(found)


async def run_check(bench: Benchmark, item: Item, check: Check, sandbox: Checker) -> Grade:
    """Run the code of an answer and return its grade.

    Raises:
        SandboxError: The sandbox itself failed, so nothing is known about the answer.
    """
    outcome = await sandbox.check(check)
    if outcome.status == "infrastructure":
        raise SandboxError(f"{bench.name}, {item.id}: {outcome.detail}")
    passed = outcome.status == "returned" and outcome.value is True
    return exact_grade(passed, outcome.status, outcome.detail)


def first_block(text: str) -> str:
    """Return the code of the first fenced block, or the whole text if it has no fenced block."""
    found = _FENCED.search(text)
    return found[1] if found else text


def first_closed_block(text: str) -> str:
    """Return the code of the first fenced block that is closed, or the whole text (OpenCompass 0.3.3, HumanEval)."""
    found = _CLOSED_FENCE.search(text)
    return found[1] if found else text


def opencompass_code(text: str) -> str:
    """Return the code between OpenCompass' markers ([BEGIN], [DONE]) or fences, or the whole text if it has neither."""
    for pattern in _MARKER_PATTERNS:
        if found := re.search(pattern, text, re.DOTALL):
            text = found[1]
            break
    text = re.split(r"'?\s*\[?DONE\]?", text.split("```")[0])[0]
    return text.replace("\\_", "_").strip()
