"""Every kind of step has parameters, and says of itself what neutral code asks."""

from __future__ import annotations

from pathlib import Path

from pipelines.rows.kinds import ROW_TYPES
from pipelines.study.graph.build import build
from pipelines.study.graph.steps.params.answers import CheckParams, RespondParams
from pipelines.study.graph.steps.params.instructions import SeedsParams
from pipelines.study.graph.steps.params.table import STEP_PARAMS
from pipelines.study.graph.steps.step import ModelFreeParams
from pipelines.study.spec.common.basics import SamplingSpec
from pipelines.study.spec.instructions.seeds import Seeds
from tests.support.studies import STUDENTS, scripted_study


def test_the_table_has_every_kind_in_the_order_in_which_rows_flow() -> None:
    assert [*ROW_TYPES] == [kind for kind in STEP_PARAMS if kind != "train"]


def test_steps_are_of_the_kind_of_their_parameters(tmp_path: Path) -> None:
    grid = build(scripted_study(**STUDENTS), tmp_path)
    assert all(type(step.params) is STEP_PARAMS[step.kind] for step in grid.steps.values())


def test_a_step_that_asks_no_model_names_none() -> None:
    assert SeedsParams(Seeds(name="a", file=["a.jsonl"])).model == ""
    without = {params for params in STEP_PARAMS.values() if issubclass(params, ModelFreeParams)}
    assert without == {params for params in STEP_PARAMS.values() if params.work_type == "other"}
    assert not any(params.row_wise or params.role for params in without)


def test_what_neutral_code_asks_has_defaults_that_a_class_replaces() -> None:
    sampling = SamplingSpec()
    answers, check = RespondParams("m", sampling, draws=3), CheckParams("m", "paper", 1, sampling, "L1", 0)
    assert (answers.rows_per_input, answers.sandbox_level, answers.variant) == (3, None, "")
    assert (check.rows_per_input, check.sandbox_level) == (1, "L1")
