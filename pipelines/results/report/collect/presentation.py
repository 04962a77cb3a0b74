"""Collects what layouts and claims need: the grid's places, why some have no numbers yet, and correlations."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Set
from pathlib import Path

from pipelines.results.predict.performance import MEAN, PERFORMANCE
from pipelines.results.predict.study import predict_from_metrics
from pipelines.results.report.data.presentation import (
    DecodingParts,
    MetricCorrelation,
    Origin,
    PlannedPlace,
    Presentation,
)
from pipelines.results.report.data.search import SearchSummary
from pipelines.results.report.data.set_key import cell_coordinates, set_key
from pipelines.store.store import Store
from pipelines.study.graph.steps.grid import Cell, Grid, InstructionDataset
from pipelines.study.spec.common.basics import number_label
from pipelines.study.spec.study import Study

_SEEDS = ("answer_seed", "seed")


def collect_presentation(study: Study, grid: Grid, done: Set[str], search: SearchSummary | None) -> Presentation:
    """Return what the layouts and claims of a study need; `done` are the finished steps."""
    if not (study.layouts or study.claims):
        return Presentation()
    return Presentation(
        layouts=tuple(study.layouts),
        claims=tuple(study.claims),
        planned=tuple(_places(grid, done, search)),
        origins={pairs.evolved_by: _origin(study, pairs) for pairs in grid.sets},
        decodings={
            variant.name: DecodingParts(
                decoding.name, number_label(variant.sampling.temperature), number_label(variant.sampling.top_p)
            )
            for decoding in study.responses.decodings
            for variant in decoding.variants()
        },
        families={name: model.family for name, model in study.models.items() if model.family},
    )


def collect_correlations(
    wanted: Collection[str], study: Study, folder: Path, grid: Grid, store: Store
) -> Iterator[MetricCorrelation]:
    """Yield the correlations of the wanted metrics, as `evolgrid predict` names them, for every student."""
    found = predict_from_metrics(study, folder, grid, store) if wanted else {}
    benchmarks = {group.benchmark for group in found}
    for group, predictions in found.items():
        if group.benchmark not in ({PERFORMANCE} & benchmarks or {MEAN} & benchmarks or benchmarks):
            continue
        student, _, recipe = group.student.partition(" ")
        for one in predictions:
            if one.correlation and one.metric in wanted and math.isfinite(one.correlation.rho):
                rho = one.correlation
                low, high = (bound if math.isfinite(bound) else None for bound in (rho.low, rho.high))
                place = (student, recipe, group.seeds, group.selection)
                yield MetricCorrelation(one.metric, *place, rho.rho, low, high)


def _origin(study: Study, pairs: InstructionDataset) -> Origin:
    only = study.evolution[0].name if pairs.evolver and len(study.evolution) == 1 else ""
    return Origin(pairs.union, pairs.method or only, pairs.evolver)


def _places(grid: Grid, done: Set[str], search: SearchSummary | None) -> Iterator[PlannedPlace]:
    """Yield the places of all evaluations and data sets; those that differ in seeds only are one."""
    found: dict[tuple[tuple[str, str], ...], str] = {}
    for cell in grid.cells:
        for benchmark, step in cell.evaluations:
            names = {**cell_coordinates(cell), "benchmark": benchmark}
            _add(found, names, "" if step.key in done else _not_evaluated(cell, done, search))
    for pairs in grid.sets:
        _add(found, set_key(pairs)._asdict(), _not_measured(pairs, done))
    yield from (PlannedPlace(dict(names), missing) for names, missing in found.items())


def _add(found: dict[tuple[tuple[str, str], ...], str], names: Mapping[str, object], missing: str) -> None:
    place = tuple((name, str(value)) for name, value in names.items() if name not in _SEEDS)
    found[place] = missing and found.get(place, missing)


def _not_evaluated(cell: Cell, done: Set[str], search: SearchSummary | None) -> str:
    if cell.train is None or cell.train.key in done:
        return "not evaluated yet"
    return "skipped by the search, or not trained yet" if search else "not trained yet"


def _not_measured(pairs: InstructionDataset, done: Set[str]) -> str:
    if pairs.responses.key not in done:
        return "not answered yet"
    return "" if all(step.key in done for step in pairs.steps) else "not measured yet"
