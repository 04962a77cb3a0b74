"""Every row-wise step has an operator, made of its own parameters, which takes and gives the rows of its step."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, get_args, get_type_hints

import pytest

from pipelines.execution.stream.operators import STREAM_OPERATORS
from pipelines.operators.registry import OPERATORS
from pipelines.rows.kinds import ROW_TYPES
from pipelines.study.graph.steps.params.table import STEP_PARAMS
from pipelines.study.graph.steps.step import StepParams

FACTORIES: dict[type[StepParams], Callable[..., Any]] = {**OPERATORS, **STREAM_OPERATORS}


def test_the_row_wise_kinds_have_an_operator_and_no_others() -> None:
    assert FACTORIES.keys() == {params for params in STEP_PARAMS.values() if params.row_wise}
    assert not OPERATORS.keys() & STREAM_OPERATORS.keys()


@pytest.mark.parametrize("params", FACTORIES)
def test_an_operator_is_made_of_its_own_parameters_and_gives_the_rows_of_its_kind(params: type[StepParams]) -> None:
    hints = get_type_hints(FACTORIES[params])
    assert hints["params"] is params
    made = hints["return"]
    for operator in get_args(made) if isinstance(made, types.UnionType) else (made,):
        assert get_type_hints(operator.__call__)["return"] is ROW_TYPES[params.kind]
