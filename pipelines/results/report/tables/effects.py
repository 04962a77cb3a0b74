"""Effects of single factors: paired comparisons of results that differ in one factor only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from pipelines.results.report.data.comparisons import Difference, difference
from pipelines.results.report.data.report import ReportData, Result
from pipelines.results.report.tables.summary import sort_by_size

FACTORS = ("evolver", "round", "teacher", "decoding", "selection", "recipe")
_IDENTITY = ("measure", "student", "seeds", *FACTORS)


@dataclass(frozen=True, slots=True)
class Effect:
    """The effect of `level` against `reference` of one factor: the mean difference in points over `pairs` cell pairs.

    `higher` counts the pairs in which `level` scored higher. `test` is computed over the tasks that the pairs share.
    """

    factor: str
    level: str
    reference: str
    difference: float
    higher: int
    pairs: int
    test: Difference | None = None


def effects(data: ReportData) -> list[Effect]:
    """Return the effect of every level of every factor against the factor's first: smallest model, lowest round."""
    return [effect for factor in FACTORS for effect in _effects(data, factor)]


def _effects(data: ReportData, factor: str) -> Iterator[Effect]:
    places = _seeds_as_round_0(data.results) if factor == "round" else [(one, one) for one in _tuned(data.results)]
    found = {_factor_level(place, factor): result for place, result in places}
    reference, *others = _levels(data, [place for place, _ in places], factor) or [""]
    for level in others:
        pairs = [
            (result, found[rest, reference])
            for (rest, own), result in found.items()
            if own == level and (rest, reference) in found
        ]
        if pairs:
            differences = [result.value - other.value for result, other in pairs]
            marks = [
                (data.task_scores[a], data.task_scores[b])
                for a, b in pairs
                if a in data.task_scores and b in data.task_scores
            ]
            higher = sum(d > 0 for d in differences)
            yield Effect(factor, level, reference, fmean(differences), higher, len(pairs), difference(marks))


def _tuned(results: Sequence[Result]) -> Iterator[Result]:
    return (result for result in results if result.round >= 0)


def _seeds_as_round_0(results: Sequence[Result]) -> list[tuple[Result, Result]]:
    """Return (coordinates, result) pairs: training on un-evolved seeds is round 0 of every evolver."""
    evolvers = dict.fromkeys(result.evolver for result in results if result.evolver)
    return [
        (replace(result, evolver=name), result)
        for result in _tuned(results)
        for name in ([result.evolver] if result.evolver else evolvers)
    ]


def _factor_level(result: Result, factor: str) -> tuple[tuple[str, ...], str]:
    rest = tuple(str(getattr(result, name)) for name in _IDENTITY if name != factor)
    return rest, str(getattr(result, factor))


def _levels(data: ReportData, results: Sequence[Result], factor: str) -> list[str]:
    if factor == "round":
        return [str(number) for number in sorted({result.round for result in results})]
    return sort_by_size((str(getattr(result, factor)) for result in results), data.model_sizes)
