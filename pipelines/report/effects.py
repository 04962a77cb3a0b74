"""What one choice makes: results that differ in nothing else, compared in pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from pipelines.report.data import ReportData, Result
from pipelines.report.summary import by_size

FACTORS = ("evolver", "round", "teacher", "decoding", "selection", "recipe")
_IDENTITY = ("measure", "student", "seeds", *FACTORS)


@dataclass(frozen=True, slots=True)
class Effect:
    """`level` against `reference` of one factor: the mean difference in points over `pairs` pairs of cells.

    `higher` counts the pairs in which `level` scored higher.
    """

    factor: str
    level: str
    reference: str
    difference: float
    higher: int
    pairs: int


def effects(data: ReportData) -> list[Effect]:
    """Every level of every factor against the factor's first: the smallest model, the lowest round."""
    return [effect for factor in FACTORS for effect in _effects(data, factor)]


def _effects(data: ReportData, factor: str) -> Iterator[Effect]:
    results = list(_with_seeds_as_round_0(data.results) if factor == "round" else _tuned(data.results))
    values = {_place(result, factor): result.value for result in results}
    reference, *others = _levels(data, results, factor) or [""]
    for level in others:
        differences = [
            value - values[rest, reference]
            for (rest, own), value in values.items()
            if own == level and (rest, reference) in values
        ]
        if differences:
            higher = sum(difference > 0 for difference in differences)
            yield Effect(factor, level, reference, fmean(differences), higher, len(differences))


def _tuned(results: Sequence[Result]) -> Iterator[Result]:
    return (result for result in results if result.round >= 0)


def _with_seeds_as_round_0(results: Sequence[Result]) -> Iterator[Result]:
    """Training on un-evolved seeds is where every evolver starts."""
    evolvers = dict.fromkeys(result.evolver for result in results if result.evolver)
    for result in _tuned(results):
        yield from [result] if result.evolver else (replace(result, evolver=name) for name in evolvers)


def _place(result: Result, factor: str) -> tuple[tuple[str, ...], str]:
    rest = tuple(str(getattr(result, name)) for name in _IDENTITY if name != factor)
    return rest, str(getattr(result, factor))


def _levels(data: ReportData, results: Sequence[Result], factor: str) -> list[str]:
    if factor == "round":
        return [str(number) for number in sorted({result.round for result in results})]
    return by_size((str(getattr(result, factor)) for result in results), data.model_sizes)
