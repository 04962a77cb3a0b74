"""Collects what the report's layouts need of the study: its grid's places, and why some have no numbers yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

from pipelines.results.report.data.presentation import DecodingParts, Origin, PlannedPlace, Presentation
from pipelines.results.report.data.search import SearchSummary
from pipelines.results.report.data.set_key import cell_coordinates, set_key
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
