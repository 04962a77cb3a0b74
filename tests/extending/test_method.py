"""The worked example of a method of evolution: named by a study, planned, run, and counted by the report."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from pydantic import ValidationError

from pipelines.planning.plan import make_plan
from pipelines.results.report.collect.outcomes import Outcomes
from pipelines.rows.arrow import from_table
from pipelines.rows.types import InstructionRow
from pipelines.store.store import Store
from pipelines.study.file.json_schema import schema
from pipelines.study.spec.study import Study
from prompts import catalog
from tests.pipelines.evaluate.conftest import Told
from tests.support.examples import use_example
from tests.support.offline import run_offline
from tests.support.studies import scripted_study


@pytest.fixture
def shorten(tmp_path: Path) -> ModuleType:
    return use_example("shorten.py", tmp_path)


def study(**changes: object) -> Study:
    evolution = {"method": "shorten", "evolvers": ["small"], "rounds": 2} | changes
    return scripted_study(evolution=evolution, responses={"teachers": ["large"]}, scoring=None)


def without_last_word(messages: tuple[tuple[str, str], ...]) -> str:
    """The instruction without its last word; as it is where there is only one."""
    words = messages[-1][1].rpartition("Instruction: ")[2].split()
    return " ".join(words[:-1] or words)


def test_a_study_can_name_it_without_the_keys_of_other_methods(shorten: ModuleType) -> None:
    assert study().evolution[0].name == "shorten"
    assert "shorten" in schema()["$defs"]["Evolution"]["properties"]["method"]["enum"]
    with pytest.raises(ValidationError, match="'breadth' is not allowed with the method 'shorten'"):
        study(breadth=True)


def test_it_is_planned_by_its_own_estimate(shorten: ModuleType, tmp_path: Path) -> None:
    plan = make_plan(study(), tmp_path, Store(str(tmp_path / "store")))
    works = [plan.workloads[step.key] for step in plan.pending_of("shorten")]
    (size,) = plan.seed_sets.values()
    expected = ("small", 20, 20 * size.instruction_tokens)
    assert [(work.model, work.rows_in, work.tokens_out) for work in works] == [expected] * 2


def test_every_round_is_made_of_the_one_before(shorten: ModuleType, tmp_path: Path) -> None:
    evolver, store = Told(without_last_word), Store(str(tmp_path))
    grid = run_offline(study(), store, {"small": evolver})
    first, second = (pairs for pairs in grid.sets if pairs.round)
    step = first.instructions
    assert step.payload["prompts"]["evol_shorten"] == catalog.get("evol_shorten").digest

    rows = {row.id: row for row in from_table(InstructionRow, store.rows(step.kind, step.key))}
    again = from_table(InstructionRow, store.rows(second.instructions.kind, second.instructions.key))
    assert again and {(row.round, row.method) for row in again} == {(2, "shorten")}
    assert all(row.instruction == rows[row.parent_id].instruction.rpartition(" ")[0] for row in again)
    assert store.rows(second.responses.kind, second.responses.key).num_rows == len(again)

    outcomes = [*Outcomes(store, grid, store.finished_keys()).round_outcomes()]
    assert {one.round for one in outcomes} == {1, 2}
    assert sum(one.rows for one in outcomes if one.round == 1 and one.outcome == "evolved") == len(rows)
