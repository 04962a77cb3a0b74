"""Metrics of pairs, and rules that select pairs, which a plug-in adds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, get_args

from pipelines.errors import nearest
from pipelines.operators.select.metrics import COMPUTED, PairMeasurements
from pipelines.operators.select.select import CHOOSERS, Chooser
from pipelines.rows.kinds import ROW_TYPES
from pipelines.study.plugins.addition import Entry, NamedAddition, check_function
from pipelines.study.plugins.code import PluginMistake
from pipelines.study.spec.pairs.selection import METRICS, RULES, Direction, MetricSpec


@dataclass(frozen=True)
class Metric(NamedAddition):
    """A number of an instruction and its answer, to select by; with a label, it is also reported and predicted with.

    Attributes:
        name: What a selection's `by` says.
        better: The better end, "high" or "low".
        value: Returns the number of a pair from its answer (`measurements.pair`) and from the rows that measure it
            (`measurements.rows_by_kind`). Without it, the number is the `column` of the rows of the first kind in
            `needs`.
        needs: The kinds of steps whose rows it is taken from, such as "score".
        column: The column of these rows that has it.
        label: Its heading in the report.
        about: A sentence that explains it to readers of the report.
    """

    what: ClassVar[str] = "metric"

    better: Direction
    value: Callable[[PairMeasurements], float] | None = None
    needs: tuple[str, ...] = ()
    column: str = ""
    label: str = ""
    about: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.better not in get_args(Direction):
            raise PluginMistake(f"'better' of a metric must be 'high' or 'low'; here is '{self.better}'")
        _check_needs(self.what, self.needs)
        if self.value is not None:
            check_function(self.value, "'value' of a metric", "measurements")
        if (self.value is None) != bool(self.column) or (self.column and not self.needs):
            raise PluginMistake("a metric has either a 'value', or a 'column' of the rows that it 'needs'")

    def entries(self) -> Iterator[Entry]:
        spec = MetricSpec(self.better, self.needs, self.column, self.label, self.about)
        yield Entry(METRICS, self.name, spec)
        if self.value is not None:
            yield Entry(COMPUTED, self.name, self.value)

    def problem(self) -> str | None:
        if told := _unknown_kind(self.what, self.name, self.needs):
            return told
        if self.column and self.column not in ROW_TYPES[self.needs[0]].__dataclass_fields__:
            return f"rows of '{self.needs[0]}' have no column '{self.column}'"
        return None


@dataclass(frozen=True)
class SelectionRule(NamedAddition):
    """A rule that chooses among the pairs that a selection has ranked by its metric.

    Attributes:
        name: What a selection's `rule` says.
        choose: Returns the indices of at most `count` of the `ranked` pairs. The best pair comes first, and pairs that
            are out of the selection's bounds are left out.
        needs: The kinds of steps whose rows it needs, such as "diversity".
    """

    what: ClassVar[str] = "rule"

    choose: Chooser
    needs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_function(self.choose, "'choose' of a rule", "ranked", "count")
        _check_needs(self.what, self.needs)

    def entries(self) -> Iterator[Entry]:
        yield Entry(RULES, self.name, self.needs)
        yield Entry(CHOOSERS, self.name, self.choose)

    def problem(self) -> str | None:
        return _unknown_kind(self.what, self.name, self.needs)


def _check_needs(what: str, needs: object) -> None:
    if isinstance(needs, str):
        raise PluginMistake(f"'needs' of a {what} must be a tuple of kinds, such as ('{needs}',)")


def _unknown_kind(what: str, name: str, needs: tuple[str, ...]) -> str | None:
    for kind in needs:
        if kind not in ROW_TYPES:
            return f"the {what} '{name}' needs rows of '{kind}', which no step makes. {nearest(kind, [*ROW_TYPES])}"
    return None
