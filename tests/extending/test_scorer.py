"""The worked example of a scorer: asked for by a study, planned, run, and shown with the rows of other steps."""

from __future__ import annotations

import io
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import ValidationError
from rich.console import Console

from actors.engine import EngineSpec, LogprobRequest, TokenLogprobs
from actors.engines.scripted_engine import ScriptedEngine
from pipelines.cli.views.row import show_chain
from pipelines.execution.steps.selection import run_selection
from pipelines.operators.select.measurements import ReportedMetric, reported_values
from pipelines.planning.plan import make_plan
from pipelines.results.lineage import Lineage
from pipelines.results.sql import open_sql_tables
from pipelines.rows.arrow import from_table
from pipelines.rows.types import ResponseRow
from pipelines.store.store import Store
from pipelines.study.file.json_schema import schema
from pipelines.study.graph.build import build
from pipelines.study.plugins.active import activate
from pipelines.study.roles import Role, roles
from pipelines.study.selections import check_selections
from pipelines.study.spec.study import Study
from tests.support.examples import use_example
from tests.support.offline import run_offline
from tests.support.studies import STUDENTS, scripted_study


class HalfCertain(ScriptedEngine):
    """Gives the first of two tokens of an answer a probability of one half, the second one of a fifth."""

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        return TokenLogprobs(request.id, 2, (None, -3.0, -0.69, -1.61), (None, -2.0), (2, 2, 2))


@pytest.fixture
def certainty(tmp_path: Path) -> ModuleType:
    return use_example("certainty.py", tmp_path)


def study(scorer: str | None, **changes: object) -> Study:
    one = {"evolution": {"evolvers": ["small"], "rounds": 1}, "responses": {"teachers": ["small"]}}
    return scripted_study(**one, certainty=scorer, **changes)


def test_a_study_that_does_not_ask_for_it_is_as_it_was(certainty: ModuleType, tmp_path: Path) -> None:
    without = build(study(None), tmp_path).steps
    asked = build(study("scorer"), tmp_path).steps
    assert {step.kind for key, step in asked.items() if key not in without} == {"certainty"}
    assert without.keys() < asked.keys()


def test_the_model_is_known_to_checks_and_plans(certainty: ModuleType, tmp_path: Path) -> None:
    asked = study("scorer")
    assert Role(("certainty",), "scorer") in roles(asked)
    plan = make_plan(asked, tmp_path, Store(str(tmp_path / "store")))
    steps = plan.pending_of("certainty")
    assert len(steps) == 2 and all(step in plan.pending_row_wise for step in steps)
    (size,) = plan.seed_sets.values()
    works = [plan.workloads[step.key] for step in steps]
    assert [work.tokens_in for work in works] == [work.rows_in * size.pair_tokens for work in works]


def test_it_is_run_and_shown(certainty: ModuleType, tmp_path: Path) -> None:
    asked, store = study("scorer"), Store(str(tmp_path))
    grid = run_offline(asked, store, {"scorer": HalfCertain(EngineSpec("scripted", "scorer"))})
    step = next(pairs.measure("certainty") for pairs in grid.sets)
    assert step is not None
    made = from_table(certainty.CertaintyRow, store.rows(step.kind, step.key))
    answered = from_table(ResponseRow, store.rows(step.inputs[0].kind, step.inputs[0].key))
    assert made and len(made) == len(answered)
    assert {(row.certainty, row.tokens) for row in made} == {(0.5, 2)}
    assert {row.parent_id for row in made} == {row.id for row in answered}

    shown = io.StringIO()
    show_chain(Console(file=shown, width=200), Lineage(store, grid).chain(made[0].id), asked.seed)
    lines = [line.split() for line in shown.getvalue().splitlines()]
    assert ["scorer", "scorer", "(scripted,", "scorer)"] in lines
    assert ["certainty", "0.5"] in lines and ["tokens", "2"] in lines
    (mean,) = open_sql_tables(store).execute("select avg(certainty) from certainty").fetchall()
    assert mean == (0.5,)


def test_a_selection_by_it_needs_the_key_that_asks_for_it(certainty: ModuleType, tmp_path: Path) -> None:
    sure = [{"name": "sure", "by": "certainty", "keep": 0.5}]
    (problem,) = check_selections(study(None, selection=sure))
    assert problem[:2] == ((0, "by"), "'certainty' needs the measure 'certainty', but the study has no 'certainty'")
    asked, store = study("scorer", selection=sure, **STUDENTS), Store(str(tmp_path / "store"))
    assert not [*check_selections(asked)]
    grid = run_offline(asked, store, {"scorer": HalfCertain(EngineSpec("scripted", "scorer"))})
    step = next(step for step in grid.steps.values() if step.kind == "select")
    assert "certainty" in {needed.kind for needed in step.inputs}
    assert run_selection(store, step).account.rows_out == 10
    (values,) = (
        reported_values(store, pairs, store.finished_keys(), 0)[ReportedMetric("certainty")] for pairs in grid.sets[:1]
    )
    assert {*values} == {0.5}


def test_another_value_of_its_key_is_told(certainty: ModuleType) -> None:
    with pytest.raises(ValidationError, match="certainty"):
        study(["scorer"])
    assert "certainty" in schema()["properties"]
    activate([])
    assert "certainty" not in schema()["properties"]
