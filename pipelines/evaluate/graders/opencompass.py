"""OpenCompass 0.3.3's GSM8K, MATH, MMLU and C-Eval: dialogues of examples, greedy, read by its rules (Apache-2.0).

2412.11231 evaluates with it. Of its rules for an option's letter those for English and Chinese sentences that name an
answer are kept in a shorter list; all fall back to the first letter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path

import prompts
from pipelines.evaluate.graders.latex import equivalent, final_answer, last_boxed
from pipelines.evaluate.items.data_files import multiple_choice_records, read_records, require_fields
from pipelines.evaluate.items.item import Grade, Item, Turns, exact_grade
from pipelines.rows.types import AnswerRow
from pipelines.study.spec.benchmarks import Benchmark

SUBJECT_SHOTS = 5
LETTERS = "ABCD"
_NUMBER = re.compile(r"-?\d+\.\d+|-?\d+")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_OPTION = (
    re.compile(r"答案(?:选项)?(?:应该?)?[是为选]?\s*[::]?\s*\(?([ABCD])"),
    re.compile(r"(?i:answer)\s*:\s*\(?\*{0,2}([ABCD])\b"),
    re.compile(r"[Tt]he (?:correct )?(?:answer|option)[a-z ]{0,16} is(?: option)?:?\s+\(?\*{0,2}([ABCD])\b"),
    re.compile(r"(?:^|\s)([ABCD])[\s。,，:：.$]"),
    re.compile(r"([ABCD])"),
)


def items(bench: Benchmark, path: Path) -> list[Item]:
    """The items of a benchmark's file, its first ones (of each subject) if it has a limit."""
    if bench.kind in ("mmlu", "ceval"):
        return list(_subjects(bench, path))
    rows = read_records(path)[: bench.limit]
    return [
        (_gsm8k if bench.kind == "gsm8k" else _math)(bench, str(n), *_question_and_answer(bench, row, path))
        for n, row in enumerate(rows)
    ]


def _question_and_answer(bench: Benchmark, row: dict[str, str], path: Path) -> list[str]:
    return require_fields(row, path, *(("question", "answer") if bench.kind == "gsm8k" else ("problem", "solution")))


def _dialogue(name: str, count: int | None, question: str) -> Turns:
    """The first examples of a benchmark (all: None) and the question."""
    examples = prompts.shots(name).examples[:count]
    return (*(turn for asked, said in examples for turn in (("user", asked), ("assistant", said))), ("user", question))


def _gsm8k(bench: Benchmark, name: str, question: str, answer: str) -> Item:
    gold = answer.rpartition("#### ")[2].strip().replace(",", "")
    return Item(name, _dialogue("gsm8k", bench.shots, prompts.get("bench_gsm8k").render(question=question)), gold)


def _math(bench: Benchmark, name: str, problem: str, solution: str) -> Item:
    asked = prompts.get("bench_math").render(problem=problem)
    return Item(name, _dialogue("math", bench.shots, asked), last_boxed(solution) or "")


def _subjects(bench: Benchmark, path: Path) -> Iterator[Item]:
    found = multiple_choice_records(path, "test" if bench.kind == "mmlu" else "val")
    examples = multiple_choice_records(path, "dev")
    count = SUBJECT_SHOTS if bench.shots is None else bench.shots
    for subject in bench.subjects or sorted(found):
        before = tuple(
            turn for row in examples.get(subject, [])[:count] for turn in _question_turns(bench, subject, row, True)
        )
        for number, row in enumerate(found[subject][: bench.limit]):
            asked = (*before, *_question_turns(bench, subject, row))
            yield Item(f"{subject}/{number}", asked, row["answer"], subject)


def _question_turns(bench: Benchmark, subject: str, row: dict[str, str], answered: bool = False) -> Turns:
    options = {letter.lower(): row[letter] for letter in LETTERS}
    name = _chinese_subjects().get(subject, subject) if bench.kind == "ceval" else subject.replace("_", " ")
    text = prompts.get(f"bench_{bench.kind}").render(subject=name, question=row["question"], **options)
    return (("user", text), *([("assistant", row["answer"])] if answered else []))


@cache
def _chinese_subjects() -> dict[str, str]:
    """The names of C-Eval's subjects."""
    return json.loads((resources.files("pipelines.evaluate.graders") / "ceval_subjects.json").read_text("utf-8"))


def grade(bench: Benchmark, item: Item, row: AnswerRow) -> Grade:
    """Read an answer and compare it with the gold one."""
    if bench.kind == "gsm8k":
        said = last_number(row.response, bench.thousands)
        return exact_grade(same_number(said, item.reference), said)
    if bench.kind == "math":
        said = final_answer(row.response)
        return exact_grade(equivalent(said, item.reference), said)
    said = first_option(row.response) if bench.kind == "mmlu" else first_capital(row.response)
    return exact_grade(said == item.reference, said)


def last_number(text: str, thousands: bool = True) -> str:
    """The last number before a next "Question:"; "NULL" if there is none.

    OpenCompass reads "1,200" as 200; with `thousands` it is 1200.
    """
    text = text.split("Question:")[0]
    found = _NUMBER.findall(_THOUSANDS.sub("", text) if thousands else text)
    return found[-1] if found else "NULL"


def same_number(said: str, gold: str) -> bool:
    """Equal as texts, or as numbers within 1e-6 where the gold answer is whole."""
    if said == gold:
        return True
    try:
        return abs(float(said) - int(gold)) < 1e-6
    except ValueError:
        return False


def first_option(text: str) -> str:
    """The letter that an answer names as the right option, or else its first letter A-D; empty if it has none."""
    return next((match[1] for pattern in _OPTION if (match := pattern.search(text.strip()))), "")


def first_capital(text: str) -> str:
    """The first capital letter; empty if there is none."""
    return next((char for char in text if char.isupper()), "")
