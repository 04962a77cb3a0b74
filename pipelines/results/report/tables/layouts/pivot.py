"""Lays numbers out as the study's layouts say: rows, columns and panels by coordinates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean
from typing import Literal, NamedTuple

from pipelines.results.report.data.comparisons import mean_interval
from pipelines.results.report.data.report import ReportData
from pipelines.results.report.tables.layouts.numbers import PlacedNumber, default_metrics, is_shown, placed_numbers
from pipelines.results.report.tables.summary import UNTUNED
from pipelines.study.spec.presentation.layouts import Coordinate, Layout

Key = tuple[str, ...]
Agreement = Literal["within", "above", "below", ""]
_SHOWN = {"set": "union", "top_p": "top-p"}


class Heading(NamedTuple):
    """A heading over `span` columns."""

    text: str
    span: int


@dataclass(frozen=True, slots=True)
class PivotCell:
    """The mean of the `count` numbers of a cell with its interval, and the mean of their published numbers.

    `difference` is the mean of ours less the published number, of those that have both. `missing` says why there is no
    number of ours. `shade` (0 to 1) is the place of the value between the lowest and the highest of the layout.
    """

    value: float | None
    low: float | None
    high: float | None
    count: int
    published: float | None
    sources: tuple[str, ...]
    difference: float | None
    missing: str
    shade: float = 0.0

    @property
    def margin(self) -> float | None:
        """Half the width of the interval; None without one."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    @property
    def agreement(self) -> Agreement:
        """Where our interval lies: it has the published number within, or lies above or below it.

        Empty without an interval or a published number of every number.
        """
        if self.value is None or self.low is None or self.high is None or self.difference is None:
            return ""
        expected = self.value - self.difference
        return "within" if self.low <= expected <= self.high else "above" if self.difference > 0 else "below"


@dataclass(frozen=True, slots=True)
class PivotTable:
    """One panel of a layout. `head` has the rows of headings over the columns, `rows` the keys and cells of rows.

    `missing` counts the cells without a number of ours by their reasons.
    """

    title: str
    head: tuple[tuple[Heading, ...], ...]
    columns: tuple[Key, ...]
    rows: tuple[tuple[Key, tuple[PivotCell | None, ...]], ...]
    missing: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class LayoutView:
    """A layout and its panels; without any if no number of the study matches. `row_names` head the rows' keys."""

    layout: Layout
    row_names: tuple[str, ...]
    panels: tuple[PivotTable, ...]

    @property
    def has_published(self) -> bool:
        """Whether any cell has a published number."""
        cells = (cell for panel in self.panels for _, row in panel.rows for cell in row if cell)
        return any(cell.published is not None for cell in cells)


def layout_views(data: ReportData) -> list[LayoutView]:
    """Return the layouts of the study with their numbers, in the order of the file."""
    if not data.presentation.layouts:
        return []
    numbers = placed_numbers(data)
    defaults = default_metrics(numbers)
    return [_view(layout, shown_numbers(layout, numbers, defaults)) for layout in data.presentation.layouts]


def shown_numbers(
    layout: Layout, numbers: Iterable[PlacedNumber], defaults: Mapping[str, Sequence[str]]
) -> list[PlacedNumber]:
    """Return the numbers that a layout shows. `defaults` are the metrics by benchmark if a pattern names none."""
    return [one for one in numbers if is_shown(layout.only, one, defaults)]


def _view(layout: Layout, numbers: Sequence[PlacedNumber]) -> LayoutView:
    panels = _groups(numbers, layout.panels)
    tables = tuple(_table(layout, _title(layout.panels, key), found) for key, found in panels.items())
    return LayoutView(layout, tuple(_SHOWN.get(name, name) for name in layout.rows), tables)


def _table(layout: Layout, title: str, numbers: Sequence[PlacedNumber]) -> PivotTable:
    columns = _in_order(_groups(numbers, layout.columns))
    known = [one.value for one in numbers if one.value is not None]
    scale = (min(known), max(known)) if known else (0.0, 0.0)
    by_row = {key: _groups(found, layout.columns) for key, found in _groups(numbers, layout.rows).items()}
    rows = tuple(
        (key, tuple(_cell(by_row[key].get(column, ()), scale) for column in columns)) for key in _in_order(by_row)
    )
    lacking = Counter(cell.missing for _, cells in rows for cell in cells if cell and cell.missing)
    return PivotTable(title, _head(columns), tuple(columns), rows, tuple(lacking.items()))


def _groups(numbers: Iterable[PlacedNumber], names: Sequence[Coordinate]) -> dict[Key, list[PlacedNumber]]:
    """Return the numbers by the values of some coordinates as they are shown, in order of appearance."""
    groups: dict[Key, list[PlacedNumber]] = {}
    for one in numbers:
        groups.setdefault(tuple(_shown_value(one, name) for name in names), []).append(one)
    return groups


def _shown_value(one: PlacedNumber, name: Coordinate) -> str:
    value, is_untuned = one.place[name], one.place["round"] == str(UNTUNED)
    if is_untuned and name in ("evolver", "method", "teacher", "family"):
        return "untuned"
    if name in ("evolver", "method") and not value:
        return "seed data"
    return "–" if not value or (name == "round" and is_untuned) else value


def _in_order(keys: Iterable[Key]) -> list[Key]:
    """Return the keys sorted by each coordinate in turn: numbers by value, other values by their first appearance."""
    distinct = [*dict.fromkeys(keys)]
    orders = [_order(values) for values in zip(*distinct, strict=True)]
    return sorted(distinct, key=lambda key: [order[value] for order, value in zip(orders, key, strict=True)])


def _order(values: Iterable[str]) -> dict[str, float]:
    distinct = [*dict.fromkeys(values)]
    numbers = {value: float(value) for value in distinct if value.replace(".", "", 1).isdigit()}
    if len(numbers) + ("–" in distinct) == len(distinct):
        return {"–": -1.0} | numbers
    return {value: float(place) for place, value in enumerate(distinct)}


def _cell(numbers: Sequence[PlacedNumber], scale: tuple[float, float]) -> PivotCell | None:
    if not numbers:
        return None
    ours = [one for one in numbers if one.value is not None]
    published = [one.published_value for one in numbers if one.published_value is not None]
    pairs = [(one.value, one.published_value) for one in ours]
    differences = [value - other for value, other in pairs if value is not None and other is not None]
    value = fmean(one.value for one in ours if one.value is not None) if ours else None
    low, high = _interval(ours)
    return PivotCell(
        value,
        low,
        high,
        len(ours),
        fmean(published) if published else None,
        tuple(dict.fromkeys(number.source for one in numbers for number in one.published)),
        fmean(differences) if differences and len(differences) == len(ours) else None,
        "" if ours else numbers[0].missing,
        0.0 if value is None or scale[0] == scale[1] else (value - scale[0]) / (scale[1] - scale[0]),
    )


def _interval(ours: Sequence[PlacedNumber]) -> tuple[float | None, float | None]:
    if len(ours) == 1:
        return ours[0].low, ours[0].high
    cells = [one.runs for one in ours if one.runs]
    known = mean_interval(cells) if len(cells) == len(ours) else None
    return known or (None, None)


def _head(columns: Sequence[Key]) -> tuple[tuple[Heading, ...], ...]:
    """Return the rows of headings: equal neighbours under the same heading are one."""
    depth = len(columns[0]) if columns else 0
    return tuple(
        tuple(Heading(key[-1], len([*group])) for key, group in groupby(column[: level + 1] for column in columns))
        for level in range(depth)
    )


def _title(names: Sequence[Coordinate], key: Key) -> str:
    return ", ".join(f"{_SHOWN.get(name, name)} {value}" for name, value in zip(names, key, strict=True))
