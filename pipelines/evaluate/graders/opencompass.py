"""GSM8K, MATH, MMLU and C-Eval as in OpenCompass 0.3.3 (Apache-2.0), which 2412.11231 evaluates with.

Prompts are dialogues of examples, answers are greedy, and OpenCompass' rules parse them, including the patterns for the
letter of an option.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import prompts
from pipelines.evaluate.graders.latex import equivalent, final_answer, last_boxed
from pipelines.evaluate.items.data_files import multiple_choice_records, read_records, require_fields
from pipelines.evaluate.items.item import Grade, Item, Turns, exact_grade, template
from pipelines.rows.types import AnswerRow
from pipelines.study.spec.evaluation.benchmarks import Benchmark

SUBJECT_SHOTS = 5
LETTERS = "ABCD"
_NUMBER = re.compile(r"-?\d+\.\d+|-?\d+")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


@dataclass(frozen=True)
class Dialogue:
    """A benchmark whose prompts are a question after examples of questions and answers.

    `fields` are the names of a row's question and solution. The first is also the prompt's variable for the question.
    `gold` extracts the answer of a solution, `read` extracts the answer of a model's text, and `equal` compares the
    model's answer with the gold answer.
    """

    fields: tuple[str, str]
    gold: Callable[[str], str]
    read: Callable[[Benchmark, str], str]
    equal: Callable[[str, str], bool]

    def items(self, bench: Benchmark, path: Path) -> list[Item]:
        """Return the items of a benchmark's file, up to its `limit`."""
        rows = read_records(path)[: bench.limit]
        return [self._item(bench, str(n), *require_fields(row, path, *self.fields)) for n, row in enumerate(rows)]

    def _item(self, bench: Benchmark, name: str, question: str, solution: str) -> Item:
        asked = template(bench).render(**{self.fields[0]: question})
        return Item(name, (*_examples(bench), ("user", asked)), self.gold(solution))

    def grade(self, bench: Benchmark, item: Item, row: AnswerRow) -> Grade:
        """Parse an answer and compare it with the gold answer."""
        said = self.read(bench, row.response)
        return exact_grade(self.equal(said, item.reference), said)


@dataclass(frozen=True)
class Choices:
    """A benchmark of multiple-choice questions (A to D), each after examples of its subject.

    `subject_name` returns a subject's name in the prompt, and `read` extracts the letter of an answer.
    """

    subject_name: Callable[[str], str]
    read: Callable[[str], str]

    def items(self, bench: Benchmark, path: Path) -> list[Item]:
        """Return the items of a benchmark's files, up to its `limit` for each subject."""
        return list(self._items(bench, path))

    def _items(self, bench: Benchmark, path: Path) -> Iterator[Item]:
        found = multiple_choice_records(path, bench.traits.subject_split or "")
        examples = multiple_choice_records(path, "dev")
        count = SUBJECT_SHOTS if bench.shots is None else bench.shots
        for subject in bench.subjects or sorted(found):
            before = tuple(
                turn for row in examples.get(subject, [])[:count] for turn in self._turns(bench, subject, row, True)
            )
            for number, row in enumerate(found[subject][: bench.limit]):
                asked = (*before, *self._turns(bench, subject, row))
                yield Item(f"{subject}/{number}", asked, row["answer"], subject)

    def _turns(self, bench: Benchmark, subject: str, row: dict[str, str], answered: bool = False) -> Turns:
        options = {letter.lower(): row[letter] for letter in LETTERS}
        text = template(bench).render(subject=self.subject_name(subject), question=row["question"], **options)
        return (("user", text), *([("assistant", row["answer"])] if answered else []))

    def grade(self, bench: Benchmark, item: Item, row: AnswerRow) -> Grade:
        """Parse the letter of an answer and compare it with the correct one."""
        del bench
        said = self.read(row.response)
        return exact_grade(said == item.reference, said)


def _examples(bench: Benchmark) -> Turns:
    """Return the first `shots` examples of a benchmark, or all if `shots` is not set."""
    examples = prompts.shots(bench.traits.examples or "").examples[: bench.shots]
    return tuple(turn for asked, said in examples for turn in (("user", asked), ("assistant", said)))


def english_subject(subject: str) -> str:
    """Return the name of an MMLU subject in the prompt."""
    return subject.replace("_", " ")


def chinese_subject(subject: str) -> str:
    """Return the Chinese name of a C-Eval subject, as in the prompt."""
    return _chinese_subjects().get(subject, subject)


@cache
def _chinese_subjects() -> dict[str, str]:
    """Return the Chinese names of C-Eval's subjects."""
    return json.loads((resources.files("pipelines.evaluate.graders") / "ceval_subjects.json").read_text("utf-8"))


def last_number(text: str, thousands: bool = True) -> str:
    """Return the last number before the next "Question:", or "NULL" if there is none.

    With `thousands`, "1,200" is read as 1200. OpenCompass reads it as 200.
    """
    text = text.split("Question:")[0]
    found = _NUMBER.findall(_THOUSANDS.sub("", text) if thousands else text)
    return found[-1] if found else "NULL"


def same_number(said: str, gold: str) -> bool:
    """Return whether two answers are equal as texts or, if the gold answer is an integer, as numbers within 1e-6."""
    if said == gold:
        return True
    try:
        return abs(float(said) - int(gold)) < 1e-6
    except ValueError:
        return False


def first_option(text: str) -> str:
    """Return the letter that an answer names as the correct option, by the first pattern that matches one, or else "".

    As published, it is the first of A, B, C and D that stands anywhere in the match: "ANSWER: C." is read as A.
    """
    matches = (found[0] for pattern in _option_patterns() if (found := pattern.search(text.strip())))
    return next((letter for match in matches for letter in LETTERS if letter in match), "")


@cache
def _option_patterns() -> tuple[re.Pattern[str], ...]:
    """Return OpenCompass' patterns in the order in which they are tried; the last two find any letter."""
    patterns = json.loads((resources.files("pipelines.evaluate.graders") / "option_patterns.json").read_text("utf-8"))
    return tuple(re.compile(pattern, re.DOTALL) for pattern in patterns)


def first_capital(text: str) -> str:
    """Return the first capital letter, or "" if there is none."""
    return next((char for char in text if char.isupper()), "")


def read_number(bench: Benchmark, text: str) -> str:
    """Return the answer to a GSM8K question from a model's text."""
    return last_number(text, bench.thousands)


def gold_number(solution: str) -> str:
    """Return the gold answer from a GSM8K solution."""
    return solution.rpartition("#### ")[2].strip().replace(",", "")


def read_latex(bench: Benchmark, text: str) -> str:
    """Return the answer to a MATH problem from a model's text."""
    del bench
    return final_answer(text)


def gold_latex(solution: str) -> str:
    """Return the gold answer from a MATH solution, or "" if no answer is boxed."""
    return last_boxed(solution) or ""


GSM8K = Dialogue(("question", "answer"), gold_number, read_number, same_number)
MATH = Dialogue(("problem", "solution"), gold_latex, read_latex, equivalent)
MMLU = Choices(english_subject, first_option)
CEVAL = Choices(chinese_subject, first_capital)
