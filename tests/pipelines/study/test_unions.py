"""Unions: one data set of the rows of several, without asking or scoring anything again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import InputError, InputErrors
from pipelines.results.lineage import Lineage
from pipelines.rows.arrow import from_table
from pipelines.rows.types import ResponseRow, ScoreRow
from pipelines.store.store import Store
from pipelines.study.check import check
from pipelines.study.file.load import load
from pipelines.study.graph.build import build
from pipelines.study.graph.steps.grid import Grid, InstructionDataset
from pipelines.study.graph.steps.step import Step
from pipelines.study.sparse.unions import set_places
from tests.support.offline import run_offline
from tests.support.studies import STUDENTS, scripted_study

HERE = Path()
WriteStudy = Callable[..., Path]
MIX: dict[str, Any] = {"name": "mix", "union": {"rounds": "all"}}


def grid(*sets: dict[str, Any], **changes: Any) -> Grid:
    return build(scripted_study(**STUDENTS, sets=[*sets], **changes), HERE)


def unions(found: Grid) -> list[InstructionDataset]:
    return [pairs for pairs in found.sets if pairs.union]


def parts(pairs: InstructionDataset) -> list[str]:
    return [step.subject for step in pairs.responses.inputs[1:]]


def test_a_union_of_rounds_has_the_seeds_and_is_made_for_each_evolver_and_teacher() -> None:
    found = unions(grid(MIX))
    assert [(pairs.evolved_by, pairs.round, pairs.teacher) for pairs in found] == [
        ("mix small", 2, "small"),
        ("mix small", 2, "large"),
        ("mix large", 2, "small"),
        ("mix large", 2, "large"),
    ]
    assert parts(found[1]) == [
        "world / large greedy",
        "world small r1 / large greedy",
        "world small r2 / large greedy",
    ]


def test_what_is_united_has_the_name_and_what_is_not_keeps_its_own() -> None:
    (evolvers,) = {pairs.evolved_by for pairs in unions(grid({"name": "both", "union": {"evolvers": "all"}}))}
    assert evolvers == "both"
    teachers = unions(grid({"name": "both", "union": {"teachers": ["small", "large"]}}))
    assert [(pairs.evolved_by, pairs.round, pairs.teacher) for pairs in teachers] == [
        ("both", 0, "both"),
        ("both small", 1, "both"),
        ("both small", 2, "both"),
        ("both large", 1, "both"),
        ("both large", 2, "both"),
    ]
    (whole,) = unions(grid({"name": "all-of-it", "union": {"rounds": "all", "evolvers": "all", "teachers": "all"}}))
    assert len(parts(whole)) == 10


def test_a_union_adds_no_request_and_no_score() -> None:
    before, after = grid(), grid(MIX)
    new = [step for key, step in after.steps.items() if key not in before.steps]
    assert not any(step.params.model and step.kind not in ("train", "evaluate") for step in new)
    assert {step.kind for step in new} == {
        *("union_instructions", "union", "score", "select", "train", "evaluate"),
    }
    assert len(after.cells) == len(before.cells) + 4 * 2


def test_parts_are_not_trained_on_alone_if_the_set_says_so() -> None:
    found = grid(MIX | {"parts": False})
    assert {cell.pairs.union for cell in found.cells if cell.pairs} == {"mix"}
    assert len([pairs for pairs in found.sets if not pairs.union]) == 10


def test_patterns_name_unions_by_set_and_leave_their_parts_in_them() -> None:
    found = grid(MIX, only=[{"set": "mix", "teacher": "small"}])
    assert [pairs.evolved_by for pairs in found.sets] == ["mix small", "mix large"]
    assert len(parts(found.sets[0])) == 3
    assert not any("large greedy" in step.label for step in found.steps.values())
    found = grid(MIX, **{"except": [{"round": [1, 2]}]})
    assert {pairs.round for pairs in found.sets if not pairs.union} == {0} and len(unions(found)) == 4


def test_places_are_those_of_the_grid() -> None:
    study = scripted_study(sets=[MIX, {"name": "both", "union": {"evolvers": "all", "seeds": "all"}}])
    assert [(place.union, place.evolver, place.round, place.teacher) for place in set_places(study)] == [
        (pairs.union, pairs.evolver, pairs.round, pairs.teacher) for pairs in build(study, HERE).sets
    ]


def rows(store: Store, step: Step) -> list[ResponseRow]:
    return from_table(ResponseRow, store.rows(step.kind, step.key))


def test_rows_keep_their_ids_and_lineage_and_their_scores(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    study = scripted_study(sets=[MIX], judging={"judge": "large", "metrics": ["difficulty"]})
    found = run_offline(study, store)
    pairs = unions(found)[0]
    united, of_parts = rows(store, pairs.responses), [rows(store, step) for step in pairs.responses.inputs[1:]]
    assert {row.id: row for row in united} == {row.id: row for part in of_parts for row in part}
    assert [row.index for row in united] == sorted(row.index for row in united)
    assert [row.id for row in united if row.index == 0] == [
        row.id for part in of_parts for row in part if row.index == 0
    ]
    assert pairs.scores is not None
    scores = from_table(ScoreRow, store.rows("score", pairs.scores.key))
    assert {score.parent_id for score in scores} == {row.id for row in united}
    instructions = set(store.rows(pairs.instructions.kind, pairs.instructions.key).column("id").to_pylist())
    assert {row.parent_id for row in united} == instructions
    ((_, judged),) = pairs.judgements
    assert set(store.rows("judge", judged.key).column("parent_id").to_pylist()) <= instructions
    assert [link.step.kind for link in Lineage(store, found).chain(united[-1].id)][-1] == "respond"


def test_the_same_answer_to_the_same_conversation_is_there_once(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    given = [{"name": name, "column": "output"} for name in ("one", "two")]
    study = scripted_study(
        evolution=[], responses={"given": given}, sets=[{"name": "mix", "union": {"teachers": "all"}}]
    )
    (pairs,) = unions(run_offline(study, store))
    account = store.manifest("union", pairs.responses.key).account
    first = store.manifest("given", pairs.responses.inputs[1].key).account.rows_out
    assert (account.rows_out, account.reasons) == (first, {"duplicate": first})
    assert pairs.scores and store.manifest("score", pairs.scores.key).account.rows_out <= first


def test_checked_and_chosen_answers_are_united_with_others(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    decodings = [{"name": "warm", "temperature": 0.7}, {"name": "best", "temperature": 0.7, "draw": "best-of"}]
    decodings[1] |= {"candidates": 2, "reward": "rm"}
    models = {name: {"source": name, "engine": "scripted", "cpus": 0.1} for name in ("small", "rm")}
    study = scripted_study(
        models=models,
        scoring=None,
        evolution=[],
        responses={"teachers": ["small"], "decodings": decodings},
        sets=[{"name": "mix", "union": {"decodings": "all"}}],
    )
    (pairs,) = unions(run_offline(study, store))
    (instructions,) = pairs.instructions.inputs
    known = set(store.rows(instructions.kind, instructions.key).column("id").to_pylist())
    assert {row.parent_id for row in rows(store, pairs.responses)} == known


def problems(path: Path) -> list[str]:
    with pytest.raises(InputError) as caught:
        check(load(path))
    found = caught.value.problems if isinstance(caught.value, InputErrors) else [caught.value]
    return [str(problem).removeprefix(f"{path}:") for problem in found]


@pytest.mark.parametrize(
    ("union", "expected"),
    [
        ("{evolvers: [tinny]}", "20: sets[0].union.evolvers[0]: no evolver of this study is 'tinny'. Did you mean"),
        ("{rounds: [1, 9]}", "20: sets[0].union.rounds[1]: no round of this study is '9'. Valid names: 0, 1, 2, 3."),
        ("{teachers: all}", "20: sets[0].union: unites nothing: it needs at least two data sets"),
        ("{}", "20: sets[0].union: give at least one of"),
    ],
)
def test_mistakes_in_unions_are_errors(write_study: WriteStudy, union: str, expected: str) -> None:
    (found,) = problems(write_study(add=f"sets:\n  - {{name: mix, union: {union}}}\n"))
    assert found.startswith(expected)


def test_a_union_has_a_name_of_its_own(write_study: WriteStudy) -> None:
    (found,) = problems(write_study(add="sets: [{name: tiny, union: {rounds: all}}]\n"))
    assert found.startswith("19: sets[0].name: 'tiny' is the name of something else in the study")
