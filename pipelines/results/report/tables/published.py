"""Published numbers beside ours: benchmark results of students, and metrics of data sets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean

from pipelines.results.report.data.presentation import RHO, MetricCorrelation
from pipelines.results.report.data.report import ReportData, Result
from pipelines.results.report.data.set_numbers import SetNumber, set_numbers
from pipelines.study.inputs.published import Published


@dataclass(frozen=True, slots=True)
class Comparison:
    """A published number, and the mean of our `count` numbers that match its coordinates; None if there is none."""

    published: Published
    what: str
    count: int
    ours: float | None

    @property
    def difference(self) -> float | None:
        """Ours less the published number; None if there is none of ours."""
        return None if self.ours is None else self.ours - self.published.value


def comparisons(data: ReportData) -> list[Comparison]:
    """Return one comparison for every published number of the study, in the order of the file."""
    known = [*_named_numbers(data)] if data.published else []
    return [_compare(one, known) for one in data.published]


def result_coordinates(one: Result) -> Mapping[str, str]:
    """Return the coordinates of a benchmark's result, as a file of published numbers names them."""
    names = ("benchmark", "metric", "student", "recipe", *_SET_COORDINATES, "selection")
    return {name: str(getattr(one, name)) for name in names}


_SET_COORDINATES = ("seeds", "evolver", "round", "teacher", "decoding")


def set_coordinates(one: SetNumber) -> Mapping[str, str]:
    """Return the coordinates of a data set's number, as a file of published numbers names them."""
    found = {name: str(value) for name, value in one.set._asdict().items() if name != "answer_seed"}
    return found | {"metric": one.metric} | ({"selection": one.selection} if one.selection else {})


def correlation_coordinates(one: MetricCorrelation) -> Mapping[str, str]:
    """Return the coordinates of a metric's correlation, as a file of published numbers names them."""
    place = {"student": one.student, "recipe": one.recipe, "seeds": one.seeds, "selection": one.selection}
    return place | {"metric": f"{RHO}{one.metric}"}


def _named_numbers(data: ReportData) -> Iterator[tuple[Mapping[str, str], float]]:
    yield from ((result_coordinates(one), one.value) for one in data.results)
    yield from ((set_coordinates(one), one.value) for one in set_numbers(data))
    yield from ((correlation_coordinates(one), one.rho) for one in data.correlations)


def _compare(published: Published, known: Iterable[tuple[Mapping[str, str], float]]) -> Comparison:
    matching = [value for place, value in known if published.matches(place)]
    what = ", ".join(published.coordinates.values())
    return Comparison(published, what, len(matching), fmean(matching) if matching else None)
