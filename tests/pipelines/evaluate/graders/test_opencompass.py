"""OpenCompass' rules of reading answers, and the prompts that are asked by its protocol."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.evaluate.graders.latex import equivalent, final_answer, last_boxed
from pipelines.evaluate.graders.opencompass import (
    first_capital,
    first_option,
    gold_latex,
    last_number,
    same_number,
)
from pipelines.evaluate.items.data_files import read_records
from pipelines.evaluate.suite import load_items
from pipelines.study.spec.evaluation.benchmarks import Benchmark


@pytest.mark.parametrize(
    ("text", "published", "ours"),
    [
        ("so 3+4 = 7. The answer is 7.", "7", "7"),
        ("costs $1,200", "200", "1200"),
        ("1,234,567 people", "567", "1234567"),
        ("between 1,2 and 3,45", "45", "45"),
        ("-2.50", "-2.50", "-2.50"),
        ("12 \nQuestion: 13?", "12", "12"),
        ("no digits", "NULL", "NULL"),
        ("", "NULL", "NULL"),
    ],
)
def test_the_last_number_with_and_without_thousands_commas(text: str, published: str, ours: str) -> None:
    assert last_number(text, thousands=False) == published
    assert last_number(text) == ours


def test_numbers_are_equal_as_texts_or_within_a_millionth() -> None:
    assert same_number("7", "7") and same_number("7.0000001", "7")
    assert not same_number("NULL", "7") and not same_number("7.1", "7") and not same_number("7", "7.5")


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("(C)", "C"),
        ("(C) because A is wrong", "A"),  # as published
        ("The answer is D.", "D"),
        ("Answer: C", "C"),
        ("Answer: C for the reason below", "A"),  # as published: "Answer" has an A
        ("答案选项为：D", "D"),
        (r"The correct answer is clear: \boxed{B}", "B"),
        ("Some say D: it is late", "D"),
        ("答案是C", "C"),
        ("I choose A, not B.", "B"),
        ("none of them", ""),
    ],
)
def test_the_option_that_an_answer_names(text: str, letter: str) -> None:
    assert first_option(text) == letter


def test_the_first_capital() -> None:
    assert (first_capital("选 C"), first_capital("不知道")) == ("C", "")


@pytest.mark.parametrize(
    ("said", "gold"),
    [
        (r"so \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\dfrac12}.", r"\frac{1}{2}"),
        ("Final Answer: The final answer is $[2,5)$. I hope it is correct.", "[2,5)"),
        ("The answer is 1,000", "1000"),
        (r"\boxed{x = 3}", "3"),
        (r"\boxed{18\text{ inches}}", "18"),
        (r"first \boxed{1}, no, \boxed{2}", "2"),
        (r"\boxed{3/4}", r"\frac{3}{4}"),
        ("the answer is $7$", "7"),
        (r"\boxed{3,125}", "3125"),
        (r"\boxed{3{,}125}", "3125"),
        (r"\boxed{12 cm}", "12"),
        (r"\boxed{Evelyn}", r"\text{Evelyn}"),
    ],
)
def test_answers_in_latex_that_are_equal(said: str, gold: str) -> None:
    assert equivalent(final_answer(said), gold)


@pytest.mark.parametrize(("said", "gold"), [("", "2"), (r"\boxed{3}", "2"), ("The answer is four", "4")])
def test_answers_in_latex_that_are_not(said: str, gold: str) -> None:
    assert not equivalent(final_answer(said), gold)


def test_every_gold_solution_of_math_has_its_own_answer(shared_data: Path) -> None:
    rows = read_records(shared_data / "math/math500.jsonl.gz")
    wrong = [row["id"] for row in rows if not equivalent(final_answer(row["solution"]), row["answer"])]
    assert not wrong
    assert all(last_boxed(row["solution"]) for row in rows)


SPELLINGS: dict[str, Callable[[str], str]] = {
    "a sentence": lambda gold: f"the answer is ${gold}$",
    "commas": lambda gold: rf"\boxed{{{int(gold):,}}}",
    "commas in braces": lambda gold: rf"\boxed{{{int(gold):,}}}".replace(",", "{,}"),
    "a unit": lambda gold: rf"\boxed{{{gold} cm}}",
    "without text": lambda gold: rf"\boxed{{{gold.removeprefix(TEXT).removesuffix('}')}}}",
}
TEXT = r"\text{"
MEANT: dict[str, Callable[[str], bool]] = {
    "a sentence": lambda gold: "." not in gold,
    "commas": lambda gold: gold.isdigit() and int(gold) >= 1000,
    "commas in braces": lambda gold: gold.isdigit() and int(gold) >= 1000,
    "a unit": str.isdigit,
    "without text": lambda gold: re.fullmatch(r"\\text\{\w+\}", gold) is not None,
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_gold_answers_of_math_are_right_in_other_spellings_and_others_are_wrong(
    shared_data: Path, spelling: str
) -> None:
    golds = [gold_latex(row["solution"]) for row in read_records(shared_data / "math/test.jsonl.gz")]
    meant = [gold for gold in golds if MEANT[spelling](gold)]
    said = [final_answer(SPELLINGS[spelling](gold)) for gold in meant]
    assert [gold for gold, answer in zip(meant, said, strict=True) if not equivalent(answer, gold)] == []
    others = zip(said, meant[1:], strict=False)
    assert [pair for pair in others if equivalent(*pair) and _value(pair[0]) != _value(pair[1])] == []


def _value(text: str) -> str:
    return re.sub(r"\\text|\\%|[{},$ ]|cm", "", text)


def test_gsm8k_is_asked_as_a_dialogue_of_four_examples(tmp_path: Path) -> None:
    (tmp_path / "gsm.jsonl").write_text(json.dumps({"question": "How many?", "answer": "Much. #### 1,200"}))
    bench = Benchmark(name="g", task="gsm8k", protocol="opencompass", file="gsm.jsonl")
    (item,) = load_items(bench, tmp_path, 0)
    assert [role for role, _ in item.messages] == ["user", "assistant"] * 4 + ["user"]
    assert item.messages[-1][1] == "Question: How many?\nLet's think step by step\nAnswer:"
    assert item.messages[1][1].endswith("The answer is 4")
    assert item.reference == "1200"


def test_subjects_are_asked_after_examples_of_their_own(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "mmlu.zip", "w") as archive:
        archive.writestr("data/dev/law_dev.csv", 'Old?,w,x,y,z,C\n"Older, no?",w,x,y,z,A\n')
        archive.writestr("data/test/law_test.csv", "New?,1,2,3,4,D\nNewer?,1,2,3,4,A\n")
    bench = Benchmark(name="m", task="mmlu", protocol="opencompass", file="mmlu.zip", shots=1, limit=1)
    (item,) = load_items(bench, tmp_path, 0)
    assert (item.kind, item.reference, len(item.messages)) == ("law", "D", 3)
    assert item.messages[0][1].startswith("There is a single choice question about law.")
    assert item.messages[1] == ("assistant", "C")
    assert "New?\nA. 1\nB. 2" in item.messages[2][1]
