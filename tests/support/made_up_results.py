"""A report of a study whose results are made up: the published numbers with noise, and the scores of a few tasks."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipelines.results.report.collect.presentation import collect_presentation
from pipelines.results.report.data.presentation import RHO, MetricCorrelation
from pipelines.results.report.data.report import ReportData, Result, SetScore
from pipelines.results.report.data.set_key import SetKey
from pipelines.results.report.data.task_scores import TaskScores
from pipelines.study.graph.steps.grid import Grid
from pipelines.study.inputs.published import Published, read_published
from pipelines.study.spec.study import Study

TASKS = 60
METRICS = {"ifeval": "Pr(S)", "alpaca_eval": "length-controlled"}


def made_up_report(study: Study, folder: Path, grid: Grid, share: float = 1.0, seed: int = 0) -> ReportData:
    """Return a report with results of `share` of the study's evaluations and data sets; the others are not finished."""
    rng = random.Random(seed)
    numbers = read_published(folder / study.published) if study.published else []
    planned = collect_presentation(study, grid, frozenset(), None)
    places = [place for place in planned.planned if rng.random() < share]
    done = frozenset(grid.steps) if share == 1 else frozenset[str]()
    results = dict(_results([place.names for place in places if "benchmark" in place.names], numbers, rng))
    return ReportData(
        study=study.study,
        description=study.description,
        created="2026-11-21T08:12:44Z",
        versions=(("evolgrid", "0.1.0"),),
        wall_seconds=431.0,
        peak_memory_gib=None,
        model_sizes=(),
        results=tuple(results),
        sets=tuple(_sets([place.names for place in places if "benchmark" not in place.names], numbers, rng)),
        examples=(),
        steps=(),
        losses=(),
        published=tuple(numbers),
        task_scores={result: (scores,) for result, scores in results.items()},
        correlations=tuple(_correlations(study, numbers)) if share else (),
        presentation=collect_presentation(study, grid, done, None),
    )


def _results(
    places: Sequence[Mapping[str, str]], numbers: Sequence[Published], rng: random.Random
) -> Iterator[tuple[Result, TaskScores]]:
    for names in places:
        found = [one for one in numbers if _belongs(one, names)]
        metrics = {one.coordinates["metric"]: one.value for one in found} or {
            METRICS.get(names["benchmark"], "accuracy"): rng.uniform(20, 60)
        }
        for metric, value in metrics.items():
            share = min(1.0, max(0.0, rng.gauss(value, 2) / 100))
            marks = {f"{names['benchmark']} {n}": float(rng.random() < share) for n in range(TASKS)}
            scores = TaskScores(marks, dict.fromkeys(marks, 1.0))
            low, high = scores.interval()
            numbered: dict[str, Any] = {**names, "round": int(names["round"])}
            yield (
                Result(**numbered, metric=metric, rows=100, value=scores.value, low=low, high=high, by_level=()),
                scores,
            )


def _sets(places: Sequence[Mapping[str, str]], numbers: Sequence[Published], rng: random.Random) -> Iterator[SetScore]:
    for names in places:
        found = [one for one in numbers if _belongs(one, names)]
        means = {one.coordinates["metric"]: one.value * rng.uniform(0.9, 1.1) for one in found}
        numbered: dict[str, Any] = {**names, "round": int(names["round"])}
        yield SetScore(SetKey(**numbered), 100, 0, means, 20.0, None, None)


def _belongs(number: Published, names: Mapping[str, str]) -> bool:
    return replace(number, coordinates={**number.coordinates, "metric": ""}).matches({**names, "metric": ""})


def _correlations(study: Study, numbers: Sequence[Published]) -> Iterator[MetricCorrelation]:
    for one in numbers:
        metric = one.coordinates.get("metric", "")
        for student in study.students if metric.startswith(RHO) else ():
            if student.model == one.coordinates["student"]:
                place = (student.model, student.recipe, study.seeds[0].name, study.selection[0].name)
                yield MetricCorrelation(metric.removeprefix(RHO), *place, one.value, one.value - 0.2, one.value + 0.1)
