"""Which models may judge and which may write: errors for models in the wrong role."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.errors import InputError, InputErrors
from pipelines.study.check import check
from pipelines.study.file.load import load

MODELS = """\
  judge: {source: "bundled:tiny-1m-base", engine: classifier}
  critic: {source: critic, engine: scripted}
  writer: {source: "bundled:tiny-1m-base"}
"""
WARM = "decodings: [{name: best, draw: best-of, temperature: 1.0, reward: %s}]"


def told(path: Path) -> list[str]:
    """What is wrong with the study, without the lines of the file."""
    try:
        check(load(path))
    except (InputError, InputErrors) as error:
        errors = error.problems if isinstance(error, InputErrors) else [error]
        return [" ".join([f"{one.field}:", one.message, one.remedy or ""]).strip() for one in errors]
    return []


@pytest.fixture
def write(write_study: Callable[..., Path]) -> Callable[..., Path]:
    def written(add: str = "", responses: str = "teachers: [tiny]") -> Path:
        return write_study({"evolution:\n": f"{MODELS}evolution:\n", "teachers: [tiny]": responses}, add)

    return written


def test_classifiers_and_scripted_models_judge(write: Callable[..., Path]) -> None:
    assert told(write("rewards: [judge, critic]\n", f"teachers: [tiny]\n  {WARM % 'judge'}")) == []


@pytest.mark.parametrize(
    ("add", "responses", "place"),
    [
        ("rewards: [judge, writer]\n", "teachers: [tiny]", "rewards[1]"),
        ("", f"teachers: [tiny]\n  {WARM % 'writer'}", "responses.decodings[0].reward"),
    ],
)
def test_a_model_that_writes_is_no_judge(write: Callable[..., Path], add: str, responses: str, place: str) -> None:
    (problem,) = told(write(add, responses))
    assert problem.startswith(f"{place}: 'writer' must give rewards or NLI labels here")
    assert problem.endswith("Set 'engine: classifier' under models.writer.")


def test_a_classifier_neither_writes_nor_scores(write: Callable[..., Path]) -> None:
    assert told(write("scoring: {scorer: judge}\n", "teachers: [judge]")) == [
        "responses.teachers[0]: 'judge' is a classifier and cannot write or score text",
        "scoring.scorer: 'judge' is a classifier and cannot write or score text",
    ]


def test_a_reward_model_that_is_not_there_is_told_with_the_nearest_name(write: Callable[..., Path]) -> None:
    assert told(write("rewards: [juge]\n")) == ["rewards[0]: no model is named 'juge' Did you mean 'judge'?"]
    assert told(write("", f"teachers: [tiny]\n  {WARM % 'juge'}")) == [
        "responses.decodings[0].reward: no model is named 'juge' Did you mean 'judge'?"
    ]


def test_which_reward_a_selection_goes_by_has_to_be_clear(write: Callable[..., Path]) -> None:
    def selects(text: str, rewards: str = "[judge, critic]") -> list[str]:
        return told(write(f"rewards: {rewards}\nscoring: {{scorer: tiny}}\nselection:\n  - {{name: a, {text}}}\n"))

    assert selects("by: reward, reward: critic") == selects("by: car", "[judge]") == []
    assert selects("by: car") == [
        "selection[0].by: the study has 2 reward models, and the selection does not say which one to use"
        " Add for example 'reward: judge'."
    ]
    assert selects("by: reward, reward: writer") == [
        "selection[0].reward: 'writer' is not among the study's 'rewards' Valid names: judge, critic."
    ]


def test_car_needs_rewards_and_scores(write: Callable[..., Path]) -> None:
    rewards, scores = told(write("selection:\n  - {name: a, by: car}\n"))
    assert rewards.startswith("selection[0].by: 'car' needs rewards, but the study has no 'rewards'")
    assert scores.startswith("selection[0].by: 'car' needs scores, but the study has no 'scoring'")


def test_rsr_needs_scores_with_ranks(write: Callable[..., Path]) -> None:
    def selects(scoring: str, by: str = "by: rsr") -> list[str]:
        return told(write(f"scoring: {scoring}\nselection:\n  - {{name: a, {by}}}\n"))

    assert selects("{scorer: tiny, ranks: true}") == []
    assert selects("{scorer: tiny}") == [
        "selection[0].by: 'rsr' needs the option 'ranks' of its scores, and 'tiny' does not have it"
        " Add 'ranks: true' to 'scoring'."
    ]
    both = "[{scorer: tiny}, {scorer: tiny, name: ranked, ranks: true}]"
    assert selects(both, "by: rsr, scorer: ranked") == []
    assert len(selects(both)) == 1


def test_autoif_chooses_none_of_several_candidates(write_study: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "formats.txt").write_text("Use no commas.\n")
    way = WARM % "critic"
    evolution = "evolution:\n  method: autoif\n  autoif: {instructions: formats.txt, rules: port}\n"
    path = write_study(
        {"evolution:\n": f"{MODELS}{evolution}", "teachers: [tiny]": f"teachers: [tiny]\n  {way}"},
    )
    assert told(path)[0].startswith("responses.decodings[0].draw: AutoIF keeps every answer that passes its checks")
