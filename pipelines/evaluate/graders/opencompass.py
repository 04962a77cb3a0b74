"""OpenCompass 0.3.3's GSM8K, MATH, MMLU and C-Eval: dialogues of examples, greedy, read by its rules (Apache-2.0).

2412.11231 evaluates with it. Of its rules for an option's letter those for English and Chinese sentences that name an
answer are kept in a shorter list; all fall back to the first letter.
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


@dataclass(frozen=True)
class Dialogue:
    """A question after examples of questions and answers.

    Rows have a question and a solution in the `fields`, the prompt takes the question under the name of its field.
    `gold` finds the answer of a solution, `read` that of a model's text, and `equal` compares what was read with gold.
    """

    fields: tuple[str, str]
    gold: Callable[[str], str]
    read: Callable[[Benchmark, str], str]
    equal: Callable[[str, str], bool]

    def items(self, bench: Benchmark, path: Path) -> list[Item]:
        """Return the items of a benchmark's file, only the first ones if it has a limit."""
        rows = read_records(path)[: bench.limit]
        return [self._item(bench, str(n), *require_fields(row, path, *self.fields)) for n, row in enumerate(rows)]

    def _item(self, bench: Benchmark, name: str, question: str, solution: str) -> Item:
        asked = template(bench).render(**{self.fields[0]: question})
        return Item(name, (*_examples(bench), ("user", asked)), self.gold(solution))

    def grade(self, bench: Benchmark, item: Item, row: AnswerRow) -> Grade:
        """Read an answer and compare it with the gold one."""
        said = self.read(bench, row.response)
        return exact_grade(self.equal(said, item.reference), said)


@dataclass(frozen=True)
class Choices:
    """Questions with options A to D, each after examples of its own subject.

    `subject_name` is how the prompt calls a subject, `read` finds the letter in an answer.
    """

    subject_name: Callable[[str], str]
    read: Callable[[str], str]

    def items(self, bench: Benchmark, path: Path) -> list[Item]:
        """Return the items of a benchmark's files, only the first ones of each subject if it has a limit."""
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
        """Read an answer's letter and compare it with the right one."""
        del bench
        said = self.read(row.response)
        return exact_grade(said == item.reference, said)


def _examples(bench: Benchmark) -> Turns:
    """The first examples of a benchmark; all, where it does not say how many."""
    examples = prompts.shots(bench.traits.examples or "").examples[: bench.shots]
    return tuple(turn for asked, said in examples for turn in (("user", asked), ("assistant", said)))


def english_subject(subject: str) -> str:
    """Return the name of a subject of MMLU as the prompt has it."""
    return subject.replace("_", " ")


def chinese_subject(subject: str) -> str:
    """Return the name of a subject of C-Eval as the prompt has it."""
    return _chinese_subjects().get(subject, subject)


@cache
def _chinese_subjects() -> dict[str, str]:
    """The names of C-Eval's subjects."""
    return json.loads((resources.files("pipelines.evaluate.graders") / "ceval_subjects.json").read_text("utf-8"))


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


def read_number(bench: Benchmark, text: str) -> str:
    """Return GSM8K's answer in a model's text."""
    return last_number(text, bench.thousands)


def gold_number(solution: str) -> str:
    """Return GSM8K's answer in a solution."""
    return solution.rpartition("#### ")[2].strip().replace(",", "")


def read_latex(bench: Benchmark, text: str) -> str:
    """Return MATH's answer in a model's text."""
    del bench
    return final_answer(text)


def gold_latex(solution: str) -> str:
    """Return MATH's answer in a solution; empty if none is boxed."""
    return last_boxed(solution) or ""


GSM8K = Dialogue(("question", "answer"), gold_number, read_number, same_number)
MATH = Dialogue(("problem", "solution"), gold_latex, read_latex, equivalent)
MMLU = Choices(english_subject, first_option)
CEVAL = Choices(chinese_subject, first_capital)
