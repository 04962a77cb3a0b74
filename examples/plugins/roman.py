"""A benchmark with exact grading: numbers are to be written in Roman numerals."""

from pathlib import Path

from pipelines.evaluate.items.data_files import read_records, require_fields
from pipelines.evaluate.items.item import Grade, Item, exact_grade, template
from pipelines.plugins import GradedBenchmark, PromptText
from pipelines.rows.types import AnswerRow
from pipelines.study.spec.evaluation.benchmark_kinds import BenchmarkKind
from pipelines.study.spec.evaluation.benchmarks import Benchmark

SYMBOLS = (
    (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"),
    (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
)  # fmt: skip

PROMPT = PromptText(
    "bench_roman",
    """---
variables: number
parser: answer
---
Write the number {number} in Roman numerals. Write the numeral and nothing else.
""",
)


def numeral(number: int) -> str:
    """Return a number from 1 to 3999 in Roman numerals."""
    found = ""
    for value, symbol in SYMBOLS:
        count, number = divmod(number, value)
        found += symbol * count
    return found


def items(bench: Benchmark, path: Path) -> list[Item]:
    """Return the numbers of a JSON Lines file: each row has a `number`."""
    rows = [require_fields(row, path, "number")[0] for row in read_records(path)[: bench.limit]]
    return [Item(str(n), template(bench).turns(number=text), numeral(int(text))) for n, text in enumerate(rows)]


def grade(bench: Benchmark, item: Item, row: AnswerRow) -> Grade:
    """Return whether the answer is the numeral, in any case and with or without a full stop."""
    del bench
    said = row.response.strip().rstrip(".").upper()
    return exact_grade(said == item.reference, said)


ROMAN = GradedBenchmark("roman", BenchmarkKind(max_tokens=16, prompts=("bench_roman",)), items, grade)
