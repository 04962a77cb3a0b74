"""All numbers of the report with their coordinates, and the places of the grid that have none yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipelines.results.report.data.presentation import RHO, DecodingParts, Origin, Presentation
from pipelines.results.report.data.report import ReportData
from pipelines.results.report.data.seeds import Runs
from pipelines.results.report.data.set_numbers import set_numbers
from pipelines.results.report.tables.published import correlation_coordinates, result_coordinates, set_coordinates
from pipelines.study.inputs.published import Published
from pipelines.study.spec.presentation.layouts import COORDINATES, NumberPattern

Names = Mapping[str, str]
NO_NUMBER = "no such number"
FAILURE_RATE = "failure rate"
_OF_STUDENTS = ("student", "recipe", "seeds", "selection")


@dataclass(frozen=True, slots=True)
class PlacedNumber:
    """A number, or a place that has none: `missing` then says why.

    `names` are its coordinates in a file of published numbers, `place` those of layouts. `low` and `high` are the
    interval (None without), `runs` the scores by task (empty for a number that is not a mean over tasks). `published`
    are the published numbers with the same coordinates.
    """

    names: Names
    place: Names
    value: float | None = None
    low: float | None = None
    high: float | None = None
    runs: Runs = ()
    missing: str = ""
    published: tuple[Published, ...] = ()

    @property
    def published_value(self) -> float | None:
        """The first published number; None without."""
        return self.published[0].value if self.published else None

    def matches(self, pattern: NumberPattern) -> bool:
        """Return whether the number has one of the pattern's values in each of its coordinates."""
        return all(self._has(name, [str(value) for value in values]) for name, values in pattern.coordinates.items())

    def _has(self, name: str, values: Sequence[str]) -> bool:
        if name in ("answer_seed", "seed"):
            return True  # numbers are means over seeds
        return self.place.get(name) in values or (name == "decoding" and self.place.get("sweep") in values)


def placed_numbers(data: ReportData) -> list[PlacedNumber]:
    """Return all numbers and all planned places that have none, in the order of the grid.

    `data` has one number for all seeds of a cell and of a data set.
    """
    ours = {_key(one.names): one for one in _ours(data)}
    metrics = _metrics(data, ours.values())
    found: dict[tuple[tuple[str, str], ...], PlacedNumber] = {}
    for planned in data.presentation.planned:
        for metric in metrics[planned.names.get("benchmark", "")]:
            if metric.startswith(RHO):
                continue
            names = {**planned.names, "metric": metric}
            known = ours.get(_key(names)) or _of_instructions(names, ours)
            one = known or PlacedNumber(names, place_of(names, data.presentation), missing=planned.missing or NO_NUMBER)
            found.setdefault(_key(one.names), one)
    for names in _planned_correlations(data, metrics.get("", ())):
        one = PlacedNumber(names, place_of(names, data.presentation), missing="too few students are evaluated yet")
        found.setdefault(_key(names), ours.get(_key(names), one))
    numbers = [*found.values(), *(one for key, one in ours.items() if key not in found)]
    return [_with_published(one, data.published) for one in numbers]


def place_of(names: Names, presentation: Presentation) -> dict[str, str]:
    """Return the coordinates of layouts for a number with these names of a file of published numbers."""
    evolver, decoding = names.get("evolver", ""), names.get("decoding", "")
    origin = presentation.origins.get(evolver, Origin("", "", evolver))
    drawn = presentation.decodings.get(decoding, DecodingParts(decoding, "", ""))
    family = presentation.families.get(names.get("teacher", ""), "")
    place = {name: names.get(name, "") for name in COORDINATES}
    return place | origin._asdict() | drawn._asdict() | {"family": family}


def default_metrics(numbers: Iterable[PlacedNumber]) -> dict[str, list[str]]:
    """Return the metrics of each benchmark that a layout shows by default.

    They are those with published numbers. If we have none of these, or nothing is published, it is our first metric.
    """
    published: defaultdict[str, dict[str, None]] = defaultdict(dict)
    ours: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for one in numbers:
        benchmark, metric = one.place["benchmark"], one.place["metric"]
        if benchmark and one.published:
            published[benchmark][metric] = None
        if benchmark and one.value is not None:
            ours[benchmark][metric] = None
    return {
        name: [*published[name], *([*ours[name]][:1] if published[name].keys().isdisjoint(ours[name]) else [])]
        for name in {**published, **ours}
    }


def is_shown(only: Sequence[NumberPattern], one: PlacedNumber, defaults: Mapping[str, Sequence[str]]) -> bool:
    """Return whether a number matches any of some patterns; without patterns, whether it is a benchmark's result.

    `defaults` are the metrics by benchmark for a pattern that names none.
    """
    by_default = one.place["metric"] in defaults.get(one.place["benchmark"], ())
    if not only:
        return by_default
    return any((by_default or pattern.metric) and one.matches(pattern) for pattern in only)


def _key(names: Names) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(names.items()))


def _ours(data: ReportData) -> Iterator[PlacedNumber]:
    for one in data.results:
        names, runs = result_coordinates(one), data.task_scores.get(one, ())
        scored = runs if all(run.possible for run in runs) else ()
        bounds = (one.low, one.high) if one.low < one.high or scored else (None, None)
        yield PlacedNumber(names, place_of(names, data.presentation), one.value, *bounds, scored)
    for number in set_numbers(data):
        names = set_coordinates(number)
        yield PlacedNumber(names, place_of(names, data.presentation), number.value)
    yield from _failure_rates(data)
    for rho in data.correlations:
        names = correlation_coordinates(rho)
        yield PlacedNumber(names, place_of(names, data.presentation), rho.rho, rho.low, rho.high)


def _failure_rates(data: ReportData) -> Iterator[PlacedNumber]:
    """Yield the failure rate of the method that an optimization chose at each step; step 0 is its first method."""
    for one in data.methods:
        is_first = one.step == 1 and one.candidate == 0
        for step in ([0] if is_first else []) + ([one.step] if one.chosen else []):
            names = {"seeds": one.seeds, "evolver": one.evolver, "step": str(step), "metric": FAILURE_RATE}
            yield PlacedNumber(names, place_of(names, data.presentation), one.failure_rate, missing=NO_NUMBER)


def _metrics(data: ReportData, ours: Iterable[PlacedNumber]) -> defaultdict[str, list[str]]:
    """Return the metrics of each benchmark, and under an empty name those of data sets.

    They are the published ones, those that layouts and claims name, and those that there are.
    """
    found: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for published in data.published:
        if metric := published.coordinates.get("metric"):
            found[published.coordinates.get("benchmark", "")][metric] = None
    for one in ours:
        found[one.place["benchmark"]][one.place["metric"]] = None
    of_benchmarks = {metric for benchmark, metrics in found.items() if benchmark for metric in metrics}
    for pattern in data.presentation.patterns:
        if pattern.benchmark or not pattern.student:
            for benchmark in pattern.benchmark or [""]:
                named = (name for name in pattern.metric if benchmark or name not in of_benchmarks | {FAILURE_RATE})
                found[benchmark] |= dict.fromkeys(named)
    metrics = defaultdict[str, list[str]](list)
    return metrics | {benchmark: [*names] for benchmark, names in found.items()}


def _planned_correlations(data: ReportData, metrics: Iterable[str]) -> Iterator[dict[str, str]]:
    planned = (one.names for one in data.presentation.planned if one.names.get("teacher") and "student" in one.names)
    places = dict.fromkeys(tuple(names[name] for name in _OF_STUDENTS) for names in planned)
    for metric in metrics:
        if metric.startswith(RHO):
            yield from ({**dict(zip(_OF_STUDENTS, place, strict=True)), "metric": metric} for place in places)


def _of_instructions(names: Names, ours: Mapping[tuple[tuple[str, str], ...], PlacedNumber]) -> PlacedNumber | None:
    """Return the number of the instructions of a data set, which has neither a teacher nor a decoding."""
    return ours.get(_key({name: value for name, value in names.items() if name not in ("teacher", "decoding")}))


def _with_published(one: PlacedNumber, known: Sequence[Published]) -> PlacedNumber:
    found = tuple(number for number in known if number.matches(one.names))
    return PlacedNumber(one.names, one.place, one.value, one.low, one.high, one.runs, one.missing, found)
