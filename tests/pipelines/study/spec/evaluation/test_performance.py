"""The formula of the performance: arithmetic over the scores of benchmarks, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.errors import InputError
from pipelines.study.check import check
from pipelines.study.file.load import load
from pipelines.study.spec.evaluation.performance import Formula, Term, plain_name

WriteStudy = Callable[..., Path]


def test_the_papers_average_performance() -> None:
    found = Formula("(alpaca_lc + arena_hard) / 2")
    assert found.terms() == (Term("alpaca_lc"), Term("arena_hard"))
    assert found.value({Term("alpaca_lc"): 10.0, Term("arena_hard"): 5.0}) == 7.5


def test_other_scores_numbers_and_signs() -> None:
    found = Formula("0.5 * ifeval.Pr_S_ - -2 + ifeval.Pr_S_ / x")
    assert found.terms() == (Term("ifeval", "Pr_S_"), Term("x"))
    assert found.value({Term("ifeval", "Pr_S_"): 8.0, Term("x"): 4.0}) == 8.0
    assert plain_name("Pr(S)") == "Pr_S_" and plain_name("arena-hard") == "arena_hard"


@pytest.mark.parametrize(
    "text",
    ["", "a +", "a ** 2", "max(a, b)", "__import__('os')", "a.b.c", "a if b else c", "'a'", "True", "a; b", "[a]"],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a formula|only \+ - \* /"):
        Formula(text)


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("(small + large) / 2", None),
        ("(small + larg) / 2", "performance: no benchmark is named 'larg'. Did you mean 'large'"),
        ("small ** 2", "performance: .*only"),
    ],
)
def test_a_study_names_its_benchmarks(write_study: WriteStudy, formula: str, expected: str | None) -> None:
    worlds = "benchmarks: [{name: small, world: {count: 4}}, {name: large, world: {count: 8}}]\n"
    path = write_study(add=f"{worlds}performance: {formula}\n")
    if expected is None:
        check(load(path))
        return
    with pytest.raises(InputError, match=expected):
        check(load(path))


@pytest.mark.parametrize(("text", "value"), [("7B", 7e9), ("0.5b", 5e8), ("7000000000", 7e9), ("1.5e9", 1.5e9)])
def test_a_models_number_of_parameters_is_written_in_any_way(write_study: WriteStudy, text: str, value: float) -> None:
    study = load(write_study({"engine: scripted": f"engine: scripted\n    parameters: {text}"})).study
    assert study.models["tiny"].parameters == value


def test_a_number_of_parameters_that_is_none_is_refused(write_study: WriteStudy) -> None:
    with pytest.raises(InputError, match="parameters"):
        load(write_study({"engine: scripted": "engine: scripted\n    parameters: largeB"}))
