"""Writes benchmarks with known verdicts in the layouts of the public ones, for machines that do not have these."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ORIGIN = (
    "HumanEval (openai/human-eval; samples with verdicts: nlpxucan/WizardLM), MBPP and IFEval "
    "(google-research/google-research), GSM8K (openai/grade-school-math) and MATH-500, all on github.com"
)
HUMANEVAL, SAMPLES = "humaneval/HumanEval.jsonl.gz", "humaneval/wizardcoder15b_samples.results.jsonl.gz"
MBPP, GSM8K, MATH = "mbpp/mbpp.jsonl.gz", "gsm8k/train.jsonl.gz", "math/math500.jsonl.gz"
IFEVAL, RESPONSES = "ifeval/input_data.jsonl.gz", "ifeval/example_en_responses.jsonl.gz"
FILES = (HUMANEVAL, SAMPLES, MBPP, GSM8K, MATH, IFEVAL, RESPONSES)
ROWS = {HUMANEVAL: 164, SAMPLES: 164, MBPP: 974, GSM8K: 7473, MATH: 500, IFEVAL: 541, RESPONSES: 541}
Record = dict[str, Any]


def synthetic_answers(folder: Path) -> Path:
    """Write as many rows of each file as the public ones have, and return the folder."""
    makers = {
        HUMANEVAL: _problem,
        SAMPLES: _sample,
        MBPP: _task,
        GSM8K: _sum,
        MATH: _fraction,
        IFEVAL: lambda number: _constraint(number)[0],
        RESPONSES: lambda number: _constraint(number)[1],
    }
    for name, make in makers.items():
        _write(folder / name, (make(number) for number in range(ROWS[name])))
    return folder


def _write(path: Path, rows: Iterable[Record]) -> None:
    import gzip

    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def _head(number: int) -> str:
    return f'def line_{number}(x: int) -> int:\n    """Return {number} times x plus {number % 7}."""\n'


def _body(number: int) -> str:
    return f"    return {number} * x + {number % 7}\n"


def _problem(number: int) -> Record:
    test = f"def check(candidate):\n    assert candidate(3) == {3 * number + number % 7}\n    assert candidate(0) < 7\n"
    return {
        "task_id": f"HumanEval/{number}",
        "prompt": _head(number),
        "entry_point": f"line_{number}",
        "canonical_solution": _body(number),
        "test": test,
    }


def _sample(number: int) -> Record:
    """Return an answer to a problem; every third one is wrong."""
    passed = number % 3 > 0
    body = _body(number) if passed else "    return 'x'\n"
    return {"task_id": f"HumanEval/{number}", "completion": _head(number) + body, "passed": passed}


def _task(number: int) -> Record:
    tests = [f"assert line_{number}({x}) == {number * x + number % 7}" for x in (0, 1, 5)]
    text = f"Write a function that returns {number} times its argument plus {number % 7}."
    code = _head(number) + _body(number)
    known = {"task_id": number + 1, "text": text, "code": code, "test_list": tests}
    return {**known, "test_setup_code": "", "challenge_test_list": []}


def _sum(number: int) -> Record:
    bought, total = number % 90 + 2, number + number % 90 + 2
    question = f"Kim has {number} apples and buys {bought} more. How many apples does Kim have?"
    return {
        "question": question,
        "answer": f"Kim has {number}+{bought} = <<{number}+{bought}={total}>>{total} apples.\n#### {total}",
    }


def _fraction(number: int) -> Record:
    answer = f"\\frac{{{2 * number + 1}}}{{2}}"
    known = {"problem": f"What is ${number} + \\frac{{1}}{{2}}$?", "answer": answer, "level": 1, "subject": "Algebra"}
    return {**known, "solution": f"The sum is $\\boxed{{{answer}}}$."}


def _constraint(number: int) -> tuple[Record, Record]:
    """Return an item of IFEval and a response, which obeys it in two of three cases."""
    kinds = [
        ("punctuation:no_comma", {}, "Use no commas.", "calm sea at dawn", "calm, at dawn"),
        ("change_case:english_lowercase", {}, "Write in lower case.", "the sea is calm at dawn", "THE SEA IS CALM"),
        ("keywords:existence", {"keywords": ["sea"]}, "Mention the word sea.", "the sea is calm", "the hill is calm"),
        ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "Use 2 bullet points.", "* sea\n* dawn", "sea"),
        (
            "length_constraints:number_words",
            {"relation": "at least", "num_words": 5},
            "Write at least 5 words.",
            "the sea is calm at dawn",
            "calm sea",
        ),
    ]
    name, arguments, text, good, bad = kinds[number % len(kinds)]
    prompt = f"Write sentence {number} about a morning. {text}"
    item = {"key": number, "prompt": prompt, "instruction_id_list": [name], "kwargs": [arguments]}
    return item, {"prompt": prompt, "response": bad if number % 3 == 0 else good}
