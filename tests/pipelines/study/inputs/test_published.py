"""The papers' studies: what is published stands beside results that the study really has."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.study.file.load import load
from pipelines.study.inputs.published import read_published
from pipelines.study.sparse.filter import GridFilter
from pipelines.study.sparse.unions import set_places

PAPERS = sorted((Path(__file__).parents[4] / "studies" / "papers").glob("*.yaml"))


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.stem)
def test_every_published_number_belongs_to_a_result_of_its_study(path: Path) -> None:
    study = load(path).study
    assert study.published
    names = {
        "benchmark": {one.name for one in study.benchmarks},
        "student": {one.model for one in study.students},
        "evolver": {name for block in study.evolution for name in block.evolvers},
        "round": {str(number) for number in range(study.evolution[0].rounds + 1)},
    }
    numbers = read_published(path.parent / study.published)
    for number in numbers:
        for column, name in number.coordinates.items():
            assert column == "metric" or name in names[column], f"line {number.line}"
    places = [tuple(sorted(number.coordinates.items())) for number in numbers]
    assert len(set(places)) == len(places), "a number twice"


def test_all_tables_of_the_first_paper_are_there() -> None:
    # 6 students x (4 evolvers and the seeds) and 2 evolvers x rounds 2 and 3, with 4, 2 and 2 numbers each
    counts = {path.stem: len(read_published(path.with_suffix(".csv"))) for path in PAPERS}
    assert counts == {"evolvers_instructions": 34 * 4, "evolvers_mathematics": 34 * 2, "evolvers_code": 34 * 2}


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.stem)
def test_the_trainings_of_a_paper_are_those_that_it_prints(path: Path) -> None:
    loaded = load(path)
    places = [
        (place.evolver, str(place.round), loaded.study.students[cell.student].model)
        for place in set_places(loaded.study)
        for cell in GridFilter(loaded.study).take(place) or ()
    ]
    printed = {
        tuple(number.coordinates.get(name, "") for name in ("evolver", "round", "student"))
        for number in read_published(path.with_suffix(".csv"))
    }
    assert len(places) == 34 and set(places) == printed
