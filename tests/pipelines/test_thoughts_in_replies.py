"""Every reader of a reply reads the answer and not the thoughts before it, in whatever form the model writes them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import prompts
from actors.engine import Generation, Sampling
from pipelines.evaluate.graders.code import HumanEval
from pipelines.evaluate.items.answers import ask_item
from pipelines.evaluate.items.item import Item
from pipelines.evaluate.judged.judge_client import JudgeCase, JudgeClient
from pipelines.evaluate.registry import JUDGED
from pipelines.evaluate.suite import grade_answer
from pipelines.operators.autoif.answer_judge import parse_score
from pipelines.operators.autoif.augment import read_instructions
from pipelines.operators.autoif.back_translation import parse_back_translations
from pipelines.operators.autoif.reply_parsing import reject_truncated
from pipelines.operators.autoif.sampling import RepeatedSampler
from pipelines.operators.autoif.test_generation import read_generated_tests
from pipelines.operators.evolve.elimination import Eliminate
from pipelines.operators.evolve.evol_instruct import read_evolution
from pipelines.operators.evolve.optimizer_client import OptimizationClient
from pipelines.operators.respond.answer import Respond
from pipelines.operators.respond.best_of_n import SampleCandidates
from pipelines.operators.score.instruction_judge import JudgeInstruction
from pipelines.rows.replies import separate_thoughts
from pipelines.rows.types import AnswerRow, InstructionRow
from pipelines.study.graph.steps.params.instructions import OptimizeParams
from pipelines.study.spec.evaluation.benchmarks import Benchmark, Judge
from pipelines.study.spec.instructions.evolution import Elimination, Optimization
from tests.pipelines.evaluate.conftest import Told
from tests.support.thoughts import THINKING

THOUGHTS = """Well. Is it easy? Sorry, no. Score: 3
Assistant 1 is better than Assistant 2, [[3]], [[B>A]].
```python
def add(a, b):
    return a - b
```
- A line of a list.
```json
{"func": "def evaluate(response): pass", "cases": []}
```
```Optimized Method
Worse: {instruction}
```
#Finally Rewritten Instruction#: Not this."""
ROW = InstructionRow("a" * 32, "", "a" * 32, 0, 1, "deepen", "Name a bird.", "", "", "", "", 0, 0, before="Name it.")
METHOD = "```Optimized Method\nBetter: {instruction}\n```"
OPTIMIZE = OptimizeParams("m", Optimization(optimizer="m"), "copy", 9, 0)


def run(call: Any) -> Any:
    return asyncio.run(call)


def judged(metric: Any) -> Callable[[Told], Any]:
    return lambda model: vars(run(JudgeInstruction(model, metric, 9)(ROW, "n")))


def verdict(kind: str, value: str, **more: Any) -> Callable[[Told], Any]:
    def ask(model: Told) -> Any:
        client = JudgeClient(model, "n", 9)
        case = JudgeCase(("Q",), ("A",), other=("B",), kind="writing")
        judgement = run(JUDGED[kind].judge(client, case, Judge(model="m", **more)))
        assert all("Well." not in raw for raw in judgement.raw)
        return judgement.grade.measures[value][0]

    return ask


def graded(task: str) -> Callable[[Told], Any]:
    bench, item = Benchmark(name="b", task=task, protocol="opencompass"), Item("0", (("user", "q"),))

    def ask(model: Told) -> Any:
        row = run(ask_item(model, item, 0, 9, "k"))
        assert isinstance(row, AnswerRow)
        return run(grade_answer(bench, item, row)).words[0]

    return ask


def solution(model: Told) -> str:
    data = {"prompt": "def add(a, b):\n", "entry_point": "add", "test": "", "task_id": "t/0"}
    item = Item("t/0", (("user", "q"),), data=data)
    row = run(ask_item(model, item, 0, 9, "k"))
    return str(HumanEval().check(Benchmark(name="h", task="humaneval"), item, row.response)).count("a + b").__str__()


def sampled(read: Any) -> Callable[[Told], Any]:
    return lambda model: run(RepeatedSampler(model, Sampling(), 0)("p", read, "n", "x", 1))[0].value


def evolved(parser: str) -> Callable[[Told], Any]:
    def ask(model: Told) -> Any:
        said = separate_thoughts(Generation("n", model.says(()) or "", "stop", 1, 1))
        return read_evolution(said, parser, "before", None).value

    return ask


def optimized(model: Told) -> str:
    client = OptimizationClient(model, model, OPTIMIZE)
    raw, reply = run(client.ask_optimizer("ab", "auto_evol_optimize", feedback="f", method="m"))
    assert raw.strip() == METHOD and run(client.answer(ROW, "r")).strip() == METHOD
    return reply.value or ""


def kept(model: Told) -> bool:
    return not run(Eliminate(model, Elimination())(ROW_WITH_ANSWER, "n")).eliminated


def answered(model: Told) -> Any:
    return run(Respond(model, Sampling(), 0)(ROW, "ab"))


def drawn(model: Told) -> Any:
    return run(SampleCandidates(model, Sampling(), 1, 0)(ROW, "ab"))


SCORES = reject_truncated(lambda text: parse_score(text, 1))
TRANSLATIONS = reject_truncated(lambda text: parse_back_translations(text, 1))
ROW_WITH_ANSWER = replace(ROW, answer="A bird is a blackbird.")
CASES = json.dumps({"func": "def evaluate(response): return True", "cases": [{"input": "x", "output": True}]})
READERS: dict[str, tuple[str, Callable[[Told], Any], Callable[[Any], bool]]] = {
    "difficulty": ("hard", judged("difficulty"), lambda row: row["labels"] == ["hard"]),
    "score": ("75", judged("difficulty_score"), lambda row: row["scores"] == [75.0]),
    "category": ("coding", judged("category"), lambda row: row["labels"] == ["coding"]),
    "compare": ("Assistant 1 is worse than Assistant 2", verdict("compare", "win"), lambda won: won == 0),
    "mt_bench": ("Rating: [[8]]", verdict("mt_bench", "score"), lambda score: score == 8),
    "arena_hard": ("[[A=B]]", verdict("arena_hard", "score"), lambda score: score == 0.5),
    "alpaca_eval": ("m", verdict("alpaca_eval", "unparsed", verdict="label"), lambda lost: lost == 0),
    "humaneval": ("```python\ndef add(a, b):\n    return a + b\n```", solution, lambda count: count == "1"),
    "ceval": ("B", graded("ceval"), "B".__eq__),
    "gsm8k": ("No number", graded("gsm8k"), "NULL".__eq__),
    "functions": (CASES, sampled(read_generated_tests), lambda made: "return True" in made.source),
    "formats": ("- Use one line.", sampled(read_instructions), ("Use one line.",).__eq__),
    "autoif score": ("Score: 9", sampled(SCORES), (9).__eq__),
    "translations": ('["One."]', sampled(TRANSLATIONS), ("One.",).__eq__),
    "method": (METHOD, optimized, "Better: {instruction}".__eq__),
    "instruction": ("Describe a bird.", evolved("instruction"), "Describe a bird.".__eq__),
    "final": ("#Finally Rewritten Instruction#: This.", evolved("final_instruction"), "This.".__eq__),
    "whole": ("This one.", evolved("final_instruction_or_all"), "This one.".__eq__),
    "elimination": ("not equal", kept, (True).__eq__),
    "teacher": ("A bird.", lambda model: answered(model).response, "A bird.".__eq__),
    "candidates": ("A bird.", lambda model: drawn(model).candidates, ["A bird."].__eq__),
}  # fmt: skip


@pytest.mark.parametrize("form", THINKING)
@pytest.mark.parametrize("reader", READERS)
def test_readers_read_the_answer_only(reader: str, form: str) -> None:
    reply, read, is_right = READERS[reader]
    model = Told(lambda _: THINKING[form].replace("{thoughts}", THOUGHTS).replace("{reply}", reply))
    assert is_right(read(model))


def test_thoughts_stay_beside_the_row() -> None:
    model = Told(lambda _: THINKING["think"].replace("{thoughts}", THOUGHTS).replace("{reply}", "hard"))
    assert judged("difficulty")(model)["thoughts"] == [THOUGHTS]
    assert answered(model).thoughts == THOUGHTS
    assert drawn(model).thoughts == [THOUGHTS]
    assert run(ask_item(model, Item("0", (("user", "q"),)), 0, 9, "k")).thoughts == [THOUGHTS]


def test_thoughts_without_an_end_are_rejected_by_name() -> None:
    model = Told(lambda _: "<think>" + THOUGHTS)
    with pytest.raises(Exception, match="unfinished_thinking"):
        judged("difficulty")(model)
    with pytest.raises(Exception, match="unfinished_thinking"):
        answered(model)
    assert prompts.parse("rating", "<think>" + THOUGHTS).reason == "unfinished_thinking"
