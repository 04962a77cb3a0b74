"""The worked example of a scorer: asked for by a study, planned, run, and shown with the rows of other steps."""

from __future__ import annotations

import io
from pathlib import Path
from types import ModuleType

import pytest
from rich.console import Console

from actors.engine import EngineSpec, LogprobRequest, TokenLogprobs
from actors.engines.scripted_engine import ScriptedEngine
from pipelines.cli.views.row import show_chain
from pipelines.operators.registry import OPERATORS
from pipelines.planning.plan import make_plan
from pipelines.results.lineage import Lineage
from pipelines.results.sql import open_sql_tables
from pipelines.rows.arrow import from_table
from pipelines.rows.kinds import ROW_TYPES
from pipelines.rows.types import ResponseRow
from pipelines.store.store import Store
from pipelines.study.graph.build import build
from pipelines.study.graph.builders.measures import MEASURES
from pipelines.study.graph.steps.params.table import STEP_PARAMS
from pipelines.study.roles import Role, roles
from pipelines.study.spec.study import Study
from tests.support.examples import example
from tests.support.offline import run_offline
from tests.support.studies import scripted_study


class HalfCertain(ScriptedEngine):
    """Gives the first of two tokens of an answer a probability of one half, the second one of a fifth."""

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        return TokenLogprobs(request.id, 2, (None, -3.0, -0.69, -1.61), (None, -2.0), (2, 2, 2))


@pytest.fixture
def certainty(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = example("certainty.py")
    monkeypatch.setitem(STEP_PARAMS, "certainty", module.CertaintyParams)  # type: ignore[arg-type]
    monkeypatch.setitem(MEASURES, "certainty", module.add_certainty)  # type: ignore[arg-type]
    monkeypatch.setitem(ROW_TYPES, "certainty", module.CertaintyRow)
    monkeypatch.setitem(OPERATORS, module.CertaintyParams, module.make_certainty)
    return module


def study(module: ModuleType, scorer: str | None) -> Study:
    plain = scripted_study(evolution={"evolvers": ["small"], "rounds": 1}, responses={"teachers": ["small"]})
    return module.CertaintyStudy(**dict(plain), certainty=scorer)


def test_a_study_that_does_not_ask_for_it_is_as_it_was(certainty: ModuleType, tmp_path: Path) -> None:
    without = build(study(certainty, None), tmp_path).steps
    asked = build(study(certainty, "scorer"), tmp_path).steps
    assert {step.kind for key, step in asked.items() if key not in without} == {"certainty"}
    assert without.keys() < asked.keys()


def test_the_model_is_known_to_checks_and_plans(certainty: ModuleType, tmp_path: Path) -> None:
    asked = study(certainty, "scorer")
    assert Role(("certainty",), "scorer") in roles(asked)
    plan = make_plan(asked, tmp_path, Store(str(tmp_path / "store")))
    steps = plan.pending_of("certainty")
    assert len(steps) == 2 and all(step in plan.pending_row_wise for step in steps)
    assert all(plan.workloads[step.key].tokens_in == plan.workloads[step.key].rows_in * 120 for step in steps)


def test_it_is_run_and_shown(certainty: ModuleType, tmp_path: Path) -> None:
    asked, store = study(certainty, "scorer"), Store(str(tmp_path))
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
