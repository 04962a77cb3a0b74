"""A study that is written out says the same when it is read again, and so does any YAML of plain values."""

from __future__ import annotations

import io
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from pipelines.study.file.load import load, load_values
from pipelines.study.file.write import to_yaml, yaml_text
from pipelines.study.file.yaml_tree import parse
from pipelines.study.graph.build import build
from pipelines.study.spec.study import Study

TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Cn"], exclude_characters="\u2028\u2029\ufeff"), max_size=20
).filter(lambda text: not text.startswith(("?", ":")))  # in flow style, ruamel cannot read what it writes for these
NAME = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True)
FLOAT = st.floats(1e-6, 1e6)
SETTING = TEXT | st.integers(-(2**60), 2**60) | FLOAT | st.booleans()
VALUE = st.recursive(
    st.none() | SETTING,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)
MODEL = st.fixed_dictionaries(
    {"source": TEXT, "engine": st.sampled_from(["scripted", "http", "transformers"])},
    optional={
        "max_length": st.integers(1, 10**6),
        "options": st.dictionaries(NAME, SETTING, max_size=3),
        "runtime": st.dictionaries(NAME, SETTING, max_size=2),
        "cpus": st.floats(0, 64),
        "replicas": st.integers(1, 99),
    },
)
RECIPE = st.fixed_dictionaries(
    {},
    optional={
        "tuning": st.sampled_from(["full", "lora"]),
        "learning_rate": st.floats(1e-9, 1),
        "epochs": st.integers(1, 20),
        "weight_decay": st.floats(0, 1),
    },
)


@st.composite
def studies(draw: st.DrawFn) -> dict[str, Any]:
    """A study's content: any names, texts and numbers."""
    models = draw(st.dictionaries(NAME, MODEL, min_size=1, max_size=3))
    model = st.sampled_from(sorted(models))
    recipes = draw(st.dictionaries(NAME, RECIPE, max_size=2))
    count = st.integers(1, 10**6)
    students = [{"model": draw(model), "recipe": name} for name in recipes]
    return {
        "study": draw(NAME),
        "description": draw(TEXT),
        "seed": draw(st.integers(-(2**60), 2**60)),
        "seeds": [{"name": draw(NAME), "world": {"count": draw(count)}}, {"name": draw(NAME), "file": draw(TEXT)}],
        "models": models,
        "evolution": {"evolvers": [draw(model)], "rounds": draw(st.integers(1, 4))},
        "responses": {"teachers": [draw(model)]},
        "recipes": recipes,
        "students": students,
    }


def dumped(value: Any, block: bool) -> str:
    stream = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = not block
    yaml.width = 60
    yaml.dump(value, stream)
    return stream.getvalue()


@settings(max_examples=50, deadline=None)
@given(content=studies(), block=st.booleans(), brief=st.booleans())
def test_a_study_that_is_written_out_says_the_same(content: dict[str, Any], block: bool, brief: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "study.yaml")
        path.write_text(dumped(content, block))
        study = load(path).study
        assert study == Study.model_validate(content)
        path.write_text(
            dumped(study.model_dump(mode="json", exclude_unset=brief, exclude_defaults=not brief), not block)
        )
        assert load(path).study == study


@settings(max_examples=50, deadline=None)
@given(content=studies())
def test_a_study_written_in_python_is_saved_with_the_same_steps(content: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        study = load_values(content, Path(folder)).study
        path = Path(folder, "study.yaml")
        path.write_text(to_yaml(study), encoding="utf-8")
        assert load(path).study == study


@settings(max_examples=100, deadline=None)
@given(value=st.dictionaries(TEXT | NAME, VALUE, max_size=4))
def test_plain_values_are_read_as_our_writer_writes_them(value: dict[str, Any]) -> None:
    assert (parse(yaml_text(value), "any").value or {}) == value


@settings(max_examples=50, deadline=None)
@given(value=VALUE, block=st.booleans())
def test_plain_values_are_read_as_they_were_written(value: Any, block: bool) -> None:
    text = dumped(value, block)
    assume(block or not re.search(r"(^|[{\[,?] ?):", text, re.M))  # not quoted by the writer
    assert parse(text, "any").value == value


@settings(max_examples=20, deadline=None)
@given(replicas=st.integers(1, 50), cpus=st.floats(0, 8), data=st.data())
def test_no_placement_of_a_model_enters_a_key(replicas: int, cpus: float, data: st.DataObject) -> None:
    runtime = data.draw(st.dictionaries(NAME, SETTING, max_size=2))
    placed = {"replicas": replicas, "max_replicas": replicas, "cpus": cpus, "runtime": runtime, "in_flight": replicas}
    grids = [
        build(Study.model_validate(_small(placement)), Path())
        for placement in ({}, placed, {**placed, "shared": True, "gpus": 1.0})
    ]
    assert grids[0].steps.keys() == grids[1].steps.keys() == grids[2].steps.keys()


def _small(placement: dict[str, Any]) -> dict[str, Any]:
    return {
        "study": "small",
        "seeds": [{"name": "world", "world": {"count": 4}}],
        "models": {"one": {"source": "one", "engine": "scripted", **placement}},
        "evolution": {"evolvers": ["one"]},
        "responses": {"teachers": ["one"]},
    }


@pytest.mark.parametrize(
    "evolution",
    [
        {"method": "auto-evol-instruct", "evolvers": ["a"], "rounds": 3},
        {"method": "auto-evol-instruct", "evolvers": ["a"], "optimization": {"optimizer": "a", "variant": "authors"}},
        {
            "method": "auto-evol-instruct",
            "evolvers": ["a"],
            "optimization": {
                "optimizer": "a",
                "variant": "authors",
                "sampling": {"temperature": 0.6, "top_p": 0.95, "max_tokens": 2048},
            },
        },
        {"method": "autoif", "evolvers": ["a"], "autoif": {"instructions": "f.txt", "rules": "port", "responses": 8}},
    ],
)
def test_a_value_that_is_only_sometimes_the_default_is_written(evolution: dict[str, Any], tmp_path: Path) -> None:
    content = {
        "study": "s",
        "seeds": [{"name": "w", "world": {"count": 3}}],
        "models": {"a": {"source": "a", "engine": "scripted"}},
        "evolution": [evolution],
        "responses": {"teachers": ["a"]},
    }
    study = load_values(content, tmp_path).study
    path = tmp_path / "again.yaml"
    path.write_text(to_yaml(study))
    assert load(path).study.evolution == study.evolution


PAPERS = sorted((Path(__file__).parents[3] / "studies").rglob("*.yaml"))


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.stem)
def test_a_shipped_study_is_written_as_it_was_read(path: Path, tmp_path: Path) -> None:
    study = load(path).study
    again = tmp_path / "again.yaml"
    again.write_text(to_yaml(study))
    assert load(again).study == study
