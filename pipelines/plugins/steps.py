"""Kinds of row-wise steps, and measures of instructions and pairs, which a plug-in adds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from pipelines.operators.registry import OPERATORS, OperatorFactory
from pipelines.planning.workload import DEFAULT_WORKLOADS, WORKLOADS, Estimate
from pipelines.rows.arrow import schema
from pipelines.rows.kinds import ROW_TYPES
from pipelines.rows.types import Row
from pipelines.study.file.study_type import SETTINGS
from pipelines.study.graph.builders.measures import MEASURES
from pipelines.study.graph.builders.measures import Measure as AddMeasure
from pipelines.study.graph.steps.params.table import STEP_PARAMS
from pipelines.study.graph.steps.step import StepParams
from pipelines.study.plugins.addition import Addition, Entry, check_class, check_function
from pipelines.study.plugins.code import PluginMistake
from pipelines.study.selections import REQUIRED_BLOCKS, RequiredBlock


@dataclass(frozen=True)
class StepKind(Addition):
    """A kind of step whose operator turns rows into rows, one by one.

    Attributes:
        params: The class of its parameters, which says its `kind` and what its model does. Everything that changes its
            rows must be a field.
        row: The type of its rows.
        operator: Returns the operator of a step from its parameters and from `OperatorInputs`.
        workload: Estimates its work; needed if its model generates text.
    """

    what: ClassVar[str] = "step"

    params: type[StepParams]
    row: type[Row]
    operator: OperatorFactory
    workload: Estimate | None = None

    @property
    def key(self) -> str:
        return self.params.kind

    def __post_init__(self) -> None:
        _check_params(self.params)
        super().__post_init__()
        check_class(self.row, Row, "'row' of a step")
        try:
            schema(self.row)
        except (TypeError, NameError, KeyError) as error:
            raise PluginMistake(f"{self.row.__name__} has a field that cannot be stored: {error}") from None
        check_function(self.operator, "'operator' of a step", "params", "inputs")
        if self.workload is not None:
            check_function(self.workload, "'workload' of a step", "params", "size")
        elif self.params.work_type not in DEFAULT_WORKLOADS:
            raise PluginMistake(f"the model of '{self.key}' generates text: add 'workload', the estimate of its work")

    def entries(self) -> Iterator[Entry]:
        yield Entry(STEP_PARAMS, self.key, self.params)
        yield Entry(ROW_TYPES, self.key, self.row)
        yield Entry(OPERATORS, self.params, self.operator)
        if self.workload is not None:
            yield Entry(WORKLOADS, self.params, self.workload)


@dataclass(frozen=True)
class Measure(StepKind):
    """A kind of step that measures every instruction or every pair of a data set.

    Attributes:
        add: Adds the step of a data set, from the builder, the step of the instructions and the step of the answers,
            and returns it; None if the study does not ask for it.
        setting: The key of the study file that asks for it; without one, every study that has the plug-in does.
    """

    add: AddMeasure | None = None
    setting: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_function(self.add, "'add' of a measure", "builder", "instructions", "responses")

    def entries(self) -> Iterator[Entry]:
        yield from super().entries()
        yield Entry(MEASURES, self.key, self.add)
        if self.setting:
            block = RequiredBlock(f"the measure '{self.key}'", self.setting, f"{self.setting}: ...")
            yield Entry(REQUIRED_BLOCKS, self.key, block)

    def problem(self) -> str | None:
        if self.setting and ("study", self.setting) not in SETTINGS:
            return f"the measure '{self.key}' needs the setting '{self.setting}', which no plug-in adds"
        return None


def _check_params(params: Any) -> None:
    check_class(params, StepParams, "'params' of a step")
    for name in ("kind", "code_version"):
        if not hasattr(params, name):
            raise PluginMistake(f"{params.__name__} has no '{name}'")
    if not params.row_wise:
        raise PluginMistake(f"{params.__name__} needs 'row_wise = True': plug-ins add steps that work row by row")
    if "model" not in {field.name for field in fields(params)}:
        raise PluginMistake(f"{params.__name__} must be a dataclass: add '@dataclass(frozen=True, slots=True)'")
