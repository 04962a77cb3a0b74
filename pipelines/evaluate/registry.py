"""Tables of the code that asks, grades and judges each benchmark, by the names of `BENCHMARK_KINDS`.

Each benchmark is in one of the first three tables, unless lm-eval handles it completely. The other tables have the
benchmarks that differ from the default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from actors.sandbox.protocol.job import Check
from pipelines.evaluate.graders import code, opencompass
from pipelines.evaluate.items.item import ACCURACY, Grade, Item
from pipelines.evaluate.items.scoring import Scoring, rows_of_task
from pipelines.evaluate.judged import alpaca_eval, arena_hard, compare, followbench, mt_bench, questions
from pipelines.evaluate.judged.judge_client import JudgeCase, JudgeClient, Judgement
from pipelines.rows.types import AnswerRow
from pipelines.study.spec.evaluation.benchmarks import Benchmark, Judge

IFEVAL_LABELS = {
    "prompt_level_strict_acc": "Pr(S)",
    "inst_level_strict_acc": "In(S)",
    "prompt_level_loose_acc": "Pr(L)",
    "inst_level_loose_acc": "In(L)",
}


class AskedBenchmark(Protocol):
    """The interface of every benchmark. A module or an object implements it."""

    def items(self, bench: Benchmark, path: Path) -> Sequence[Item]:
        """Return the items of the benchmark's file or folder, up to its `limit`.

        Raises:
            InputError: The file cannot be read, or a row lacks a field.
        """
        ...


class GradedBenchmark(AskedBenchmark, Protocol):
    """A benchmark whose answers are parsed and graded by rules."""

    def grade(self, bench: Benchmark, item: Item, row: AnswerRow) -> Grade:
        """Return the grade of an answer."""
        ...


class CodeBenchmark(AskedBenchmark, Protocol):
    """A benchmark whose answers are programs. An answer is correct if it passes the item's tests."""

    def check(self, bench: Benchmark, item: Item, response: str) -> Check:
        """Return the check that the sandbox runs for an answer."""
        ...


class JudgedBenchmark(AskedBenchmark, Protocol):
    """A benchmark whose answers are graded by a judge model."""

    async def judge(self, judge_client: JudgeClient, case: JudgeCase, judge_config: Judge) -> Judgement:
        """Return the judge's judgement of one answer.

        Raises:
            RequestError: The judge's engine rejects a request.
        """
        ...


ReadReferences = Callable[[Path, Sequence[Item]], Mapping[str, tuple[str, ...]]]

GRADED: dict[str, GradedBenchmark] = {
    "gsm8k": opencompass.GSM8K,
    "math": opencompass.MATH,
    "mmlu": opencompass.MMLU,
    "ceval": opencompass.CEVAL,
}
CODE: dict[str, CodeBenchmark] = {"humaneval": code.HumanEval(), "mbpp": code.Mbpp()}
JUDGED: dict[str, JudgedBenchmark] = {
    "followbench": followbench,
    "alpaca_eval": alpaca_eval,
    "arena_hard": arena_hard,
    "mt_bench": mt_bench,
    "compare": compare,
}
# readers of reference answers for benchmarks whose files have ids; the default matches answers by instruction
REFERENCES: dict[str, ReadReferences] = {
    "arena_hard": arena_hard.read_references,
    "mt_bench": mt_bench.read_references,
}
SCORING: dict[str, Scoring] = {
    "ifeval": Scoring(tuple(IFEVAL_LABELS)),
    "math": Scoring(("math_verify", "exact_match", ACCURACY)),
    "mmlu": Scoring(group=rows_of_task),
    "ceval": Scoring(group=rows_of_task),
    "mt_bench": Scoring(("score", "turn 1", "turn 2"), ratings=True),
    "compare": Scoring(("win", "tie", "lose")),
    "alpaca_eval": Scoring(("win rate",), summary=alpaca_eval.summarize),
    "arena_hard": Scoring(("score",), summary=arena_hard.summarize),
    "followbench": Scoring(("HSR", "SSR"), group=followbench.level_of, summary=followbench.summarize),
}


def asked_benchmark(bench: Benchmark) -> AskedBenchmark:
    """Return the module or object that reads the items of a benchmark which lm-eval does not handle."""
    if bench.traits.judging:
        return JUDGED[bench.kind]
    return CODE[bench.kind] if bench.traits.runs_code else GRADED[bench.kind]


def reference_reader(bench: Benchmark) -> ReadReferences:
    """Return the function that reads a benchmark's file of reference answers."""
    return REFERENCES.get(bench.kind, questions.read_references)


def scoring_of(bench: Benchmark) -> Scoring:
    """Return how the scores of a benchmark are computed."""
    return SCORING.get(bench.kind, Scoring())
