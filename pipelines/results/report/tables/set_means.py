"""Means of data sets' numbers over the seeds of answers, which the tables and plots of the report show."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from statistics import fmean, stdev
from typing import TypeVar, cast

from pipelines.results.report.data.instructions import SetSelection
from pipelines.results.report.data.report import ReportData, SetScore
from pipelines.results.report.data.rewards import SetCar, SetReward
from pipelines.results.report.data.scores import SetDistribution, SetProbabilities

Fact = TypeVar("Fact", SetScore, SetReward, SetCar, SetSelection, SetDistribution, SetProbabilities)
_EXTREMES: Mapping[str, Callable[[Sequence[float]], float]] = {"least": min, "most": max}


def average_sets(data: ReportData) -> ReportData:
    """Return the report's facts with one entry for all seeds of a data set's answers."""
    return replace(
        data,
        sets=_averaged(data.sets),
        rewards=_averaged(data.rewards),
        cars=_averaged(data.cars),
        selections=_averaged(data.selections),
        distributions=_averaged(data.distributions),
        probabilities=_averaged(data.probabilities),
    )


def has_answer_seeds(data: ReportData) -> bool:
    """Return whether there are data sets that differ in the seed of their answers only."""
    return any(one.set.answer_seed is not None for one in data.sets)


def _averaged(facts: Iterable[Fact]) -> tuple[Fact, ...]:
    groups: defaultdict[tuple[object, ...], list[Fact]] = defaultdict(list)
    for fact in facts:
        names = (value for each in fields(fact) if isinstance(value := getattr(fact, each.name), str))
        groups[fact.set._replace(answer_seed=None), *names].append(fact)
    return tuple(_mean(group) for group in groups.values())


def _mean(group: Sequence[Fact]) -> Fact:
    """Return the means of all numbers of facts that differ in nothing else than the seed. Unknown numbers are left out.

    Counts of rows are rounded.
    """
    key = group[0].set._replace(answer_seed=None)
    if len(group) == 1:
        return replace(group[0], set=key)
    names = [each.name for each in fields(group[0]) if each.name not in ("set", "spread")]
    values = {name: _mean_value(name, [getattr(one, name) for one in group]) for name in names}
    if isinstance(group[0], SetSelection | SetDistribution):
        means = [each.mean for each in group if isinstance(each, SetSelection | SetDistribution)]
        known = [mean for mean in means if mean is not None]
        values["spread"] = stdev(known) if len(known) > 1 else None
    return replace(group[0], set=key, **values)


def _mean_value(name: str, values: Sequence[object]) -> object:
    known = [value for value in values if value is not None]
    if known and name in _EXTREMES:
        return _EXTREMES[name](cast(Sequence[float], known))
    if not known or isinstance(known[0], str):
        return known[0] if known else None
    if isinstance(known[0], Mapping | tuple):
        return _mean_by_name(known)
    mean = fmean(cast(Sequence[float], known))
    return round(mean) if all(isinstance(value, int) for value in known) else mean


def _mean_by_name(known: Sequence[object]) -> object:
    """Return the mean of each name of mappings, or of tuples of pairs."""
    found = [dict(cast(Mapping[object, float], one)) for one in known]  # numbers or counts
    names = dict.fromkeys(name for one in found for name in one)
    means = {name: _mean_value("", [one[name] for one in found if name in one]) for name in names}
    return means if isinstance(known[0], Mapping) else tuple(means.items())
