"""Lengths in one named tokenizer: counted, selected by, reported and predicted with, without a scorer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from actors.model_folder.tokenizer_file import tokenizer_of
from pipelines.errors import InputError
from pipelines.execution.steps.lengths import count_lengths, token_counter
from pipelines.execution.steps.selection import run_selection
from pipelines.operators.select.measurements import ReportedMetric, list_reported, reported_values
from pipelines.results.predict.points import collect_points
from pipelines.rows.arrow import from_table
from pipelines.rows.text import user_turn
from pipelines.rows.types import LengthsRow, PairRow, ResponseRow
from pipelines.store.store import Store
from pipelines.study.check import check
from pipelines.study.file.load import LoadedStudy
from pipelines.study.graph.build import build
from pipelines.study.graph.steps.grid import Grid
from pipelines.study.inputs.models import resolve_model_path
from tests.support.offline import HERE, run_offline
from tests.support.studies import STUDENTS, scripted_study

TINY: dict[str, Any] = {"source": "bundled:tiny-1m-chat"}
SHORT = {"name": "short", "by": "length", "keep": 0.5}
SCORED = {"scoring": [{"scorer": "scorer"}, {"scorer": "large", "name": "second"}]}


def study(**parts: Any) -> Any:
    models = {name: {"source": name, "engine": "scripted"} for name in ("small", "large", "scorer")}
    parts = {"scoring": None, "lengths": {"tokenizer": "tiny"}, "models": models | {"tiny": TINY}} | parts
    return scripted_study(**parts)


def counted(grid: Grid, store: Store, count: Any) -> None:
    for step in grid.steps.values():
        if step.kind == "lengths":
            count_lengths(store, step, count)


@pytest.mark.torch
def test_tokens_are_those_of_the_named_tokenizer(tmp_path: Path) -> None:
    store, tested = Store(str(tmp_path)), study(selection=[SHORT], **STUDENTS)
    grid = run_offline(tested, store)
    step = next(step for step in grid.steps.values() if step.kind == "lengths")
    counted(grid, store, token_counter(tested, HERE, step))
    tokenizer = tokenizer_of(resolve_model_path(tested.models["tiny"], HERE), None)
    answers = {row.id: row for row in rows(store, step.inputs[0], ResponseRow)}
    found = rows(store, step, LengthsRow)
    assert {row.parent_id for row in found} == {*answers}
    for row in found:
        pair = answers[row.parent_id]
        texts = pair.instruction, user_turn(pair.instruction, pair.input), pair.response
        lengths = [len(tokenizer.tokenize(text)) for text in texts]
        assert [row.tokens_instruction, row.tokens_with_input, row.tokens_answer] == lengths

    selected = next(each for each in grid.steps.values() if each.kind == "select" and step in each.inputs)
    run_selection(store, selected)
    kept = sorted(row.tokens_instruction for row in found)[: len(found) // 2]
    assert sorted(row.score for row in rows(store, selected, PairRow)) == kept

    names = [ReportedMetric(name) for name in ("length", "length_with_input", "length_answer")]
    assert list_reported(grid.sets) == (*names,)
    values = reported_values(store, grid.sets[0], store.finished_keys(), 0)
    assert grid.sets[0].measure("lengths") is step and values[names[2]] == [row.tokens_answer for row in found]
    metrics = collect_points(tested, grid, store)[0].metrics
    assert metrics[names[2]] == pytest.approx(sum(values[names[2]]) / len(values[names[2]]))


def rows(store: Store, step: Any, kind: Any) -> list[Any]:
    return [*from_table(kind, store.rows(step.kind, step.key))]


@pytest.mark.parametrize(
    ("parts", "reads"),
    [
        ({}, ("lengths", "")),
        (SCORED, ("lengths", "")),
        (SCORED | {"lengths": None}, ("score", "scorer")),
        (SCORED | {"selection": [{**SHORT, "scorer": "second"}]}, ("score", "large")),
        (SCORED | {"lengths": None, "selection": [{**SHORT, "scorer": "second"}]}, ("score", "large")),
    ],
)
def test_a_selection_reads_the_tokenizer_of_the_study_or_the_named_scorers(
    parts: dict[str, Any], reads: tuple[str, str]
) -> None:
    grid = build(study(**{"selection": [SHORT], **STUDENTS} | parts), HERE)
    (read,) = {
        (step.inputs[1].kind, step.inputs[1].params.model) for step in grid.steps.values() if step.kind == "select"
    }
    assert read == reads


def test_without_lengths_reports_have_no_numbers_of_tokens() -> None:
    names = {metric.metric for metric in list_reported(build(study(**SCORED, lengths=None), HERE).sets)}
    assert "ifd" in names and not {"length", "length_with_input", "length_answer"} & names


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"lengths": {"tokenizer": "tyni"}}, "lengths.tokenizer: no model is named 'tyni'. Valid names: small, large"),
        ({"lengths": {"tokenizer": "small"}}, "'small' has no files with a tokenizer: its engine is scripted. Name a"),
        ({"lengths": None, "selection": [SHORT]}, "'length' needs numbers of tokens, but the study has no 'lengths'"),
    ],
)
def test_what_cannot_be_counted_is_told(parts: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told.replace("?", r"\?").replace(".", r"\.")):
        check(LoadedStudy(study(**parts), HERE / "study.yaml", HERE, {}), local=False)


def test_lengths_need_instructions() -> None:
    with pytest.raises(ValidationError, match="missing key 'seeds': 'lengths' needs instructions"):
        study(seeds=[], evolution=[], responses={}, **STUDENTS)
