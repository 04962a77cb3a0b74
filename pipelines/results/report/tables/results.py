"""The table of results in the papers' layout: a line per combination of factors, a column per benchmark number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.results.report.data.report import ReportData, Result
from pipelines.results.report.tables.published import result_coordinates
from pipelines.results.report.tables.summary import UNTUNED
from pipelines.study.inputs.published import Published

FACTORS = ("seeds", "evolver", "round", "teacher", "decoding", "selection", "student", "recipe")
_NAMES = {("evolver", ""): "seed data", ("round", "0"): "–", ("round", str(UNTUNED)): "–"}


@dataclass(frozen=True, slots=True)
class TableCell:
    """A result; `best`: highest of those that differ only in the contrasted factor; `published`: (number, source)."""

    result: Result
    best: bool
    published: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class ResultTable:
    """`lines` are (names of the factors' levels, cells), for factors that vary. `contrast` is the compared factor."""

    factors: tuple[str, ...]
    contrast: str
    measures: tuple[str, ...]
    lines: tuple[tuple[tuple[str, ...], tuple[TableCell | None, ...]], ...]


def result_table(data: ReportData) -> ResultTable | None:
    """Return all results of the study (2412.11231, tables 1 to 4 and 9 to 12); None without results."""
    factors = [name for name in FACTORS if len({getattr(one, name) for one in data.results if _is_tuned(one)}) > 1]
    measures = tuple(dict.fromkeys(one.measure for one in data.results))
    if not measures:
        return None
    compared = [name for name in factors if name not in ("student", "recipe")]
    contrast = "evolver" if "evolver" in compared else compared[0] if compared else ""
    best = _best(data.results, contrast)
    lines: dict[tuple[str, ...], dict[str, TableCell]] = defaultdict(dict)
    for one in data.results:
        cell = TableCell(one, one in best, _published(one, data.published))
        lines[tuple(_name(one, factor) for factor in factors)][one.measure] = cell
    cells = ((place, tuple(found.get(measure) for measure in measures)) for place, found in lines.items())
    return ResultTable(tuple(factors), contrast, measures, tuple(cells))


def _is_tuned(one: Result) -> bool:
    return one.round != UNTUNED


def _name(one: Result, factor: str) -> str:
    if not _is_tuned(one) and factor == "evolver":
        return "untuned"
    value = str(getattr(one, factor))
    return _NAMES.get((factor, value), value)


def _best(results: Sequence[Result], contrast: str) -> set[Result]:
    """Return the highest result of every group of results that differ in the contrasted factor only."""
    groups: dict[tuple[str, ...], list[Result]] = defaultdict(list)
    for one in results:
        if contrast and _is_tuned(one) and one.evolver:
            groups[one.measure, *(str(getattr(one, name)) for name in FACTORS if name != contrast)].append(one)
    return {max(group, key=lambda one: one.value) for group in groups.values() if len(group) > 1}


def _published(one: Result, known: Sequence[Published]) -> tuple[tuple[float, str], ...]:
    here = result_coordinates(one)
    return tuple((number.value, number.source) for number in known if number.matches(here))
