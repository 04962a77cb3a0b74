"""The papers' studies: they plan without their models and data, and each published number has a result of ours."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from pipelines.results.report.data.report import ReportData
from pipelines.results.report.data.scores import SetJudgement, SetProbabilities
from pipelines.results.report.data.set_key import set_key
from pipelines.results.report.tables.layouts.claims import claimed_pairs
from pipelines.results.report.tables.layouts.numbers import PlacedNumber, default_metrics, placed_numbers
from pipelines.results.report.tables.layouts.pivot import layout_views, shown_numbers
from pipelines.study.check import check
from pipelines.study.file.load import LoadedStudy, load
from pipelines.study.graph.build import build
from pipelines.study.graph.steps.grid import Grid, InstructionDataset
from pipelines.study.inputs.benchmarks import reference_notes
from pipelines.study.inputs.published import Published, read_published
from pipelines.study.spec.pairs.scoring import Question
from pipelines.study.spec.presentation.layouts import Layout
from tests.support.made_up_results import made_up_report
from tests.support.stubs import write_stubs

STUDIES = Path(__file__).parents[2] / "studies"
PAPERS = sorted((STUDIES / "papers").glob("*/*.yaml"))
# students that are trained, and published numbers beside them
COUNTS = {
    "2406.00770/alpaca": (3, 9),
    "2406.00770/code": (8, 14),
    "2406.00770/instructions": (6, 12),
    "2406.00770/mathematics": (9, 15),
    "2406.00770/optimization": (13, 2),
    "2411.07133/decodings": (24, 24),
    "2411.07133/proprietary_teacher": (7, 21),
    "2411.07133/teachers": (95, 330),
    "2412.11231/auto_evol_code": (6, 12),
    "2412.11231/auto_evol_instructions": (6, 24),
    "2412.11231/auto_evol_mathematics": (6, 12),
    "2412.11231/autoif": (12, 168),
    "2412.11231/evolvers_code": (34, 111),
    "2412.11231/evolvers_instructions": (34, 179),
    "2412.11231/evolvers_mathematics": (34, 111),
    "2412.11231/scaling_code": (14, 28),
    "2412.11231/scaling_instructions": (14, 56),
    "2412.11231/scaling_mathematics": (14, 28),
    "2412.11231/selection": (6, 28),
    "2412.11231/temperatures": (12, 24),
    "2412.11231/win_rates": (13, 27),
}

CURVES = ("2406.00770/optimization", "2411.07133/decodings")  # figures without printed numbers


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the studies, beside which their models and data may be written."""
    root = tmp_path_factory.mktemp("papers")
    shutil.copytree(STUDIES, root / "studies")
    (root / "nltk" / "tokenizers" / "punkt_tab").mkdir(parents=True)
    return root


@pytest.fixture(autouse=True)
def surroundings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    nltk = pytest.importorskip("nltk")
    monkeypatch.setattr(nltk.data, "path", [str(folder / "nltk")])


@cache
def grid_of(path: Path) -> tuple[LoadedStudy, Grid]:
    write_stubs(load(path).study, path.parent)
    loaded = load(path)
    check(loaded)
    return loaded, build(loaded.study, loaded.folder)


def planned(folder: Path, path: Path) -> tuple[LoadedStudy, Grid]:
    return grid_of(folder / path.relative_to(STUDIES.parent))


def places(found: Grid) -> Iterator[Mapping[str, str]]:
    """Yield the coordinates of every result of a student, of every correlation for it, and of every data set."""
    for cell in found.cells:
        pairs = coordinates(cell.pairs) if cell.pairs else {}
        for benchmark, _ in cell.evaluations:
            student = {"student": cell.student.model, "recipe": cell.student.recipe, "selection": cell.selection}
            yield pairs | student | {"benchmark": benchmark}
        yield {"student": cell.student.model, "recipe": cell.student.recipe, "selection": cell.selection}
    for pairs in found.sets:
        yield coordinates(pairs)


def coordinates(pairs: InstructionDataset) -> dict[str, str]:
    round_number = str(pairs.round)
    return {
        "seeds": pairs.seeds,
        "evolver": pairs.evolved_by,
        "round": round_number,
        "teacher": pairs.teacher,
        "decoding": pairs.decoding,
    }


def belongs(number: Published, place: Mapping[str, str]) -> bool:
    wanted = {name: value for name, value in number.coordinates.items() if name != "metric"}
    return ("benchmark" in wanted) == ("benchmark" in place) and wanted.items() <= place.items()


def test_all_are_listed() -> None:
    assert {name_of(path) for path in PAPERS} == {*COUNTS}


@pytest.mark.parametrize("path", PAPERS, ids=name_of)
def test_a_study_plans_with_the_trainings_that_its_paper_prints(folder: Path, path: Path) -> None:
    _, found = planned(folder, path)
    trained = [step for step in found.steps.values() if step.kind == "train"]
    assert len(trained) == COUNTS[name_of(path)][0]


@pytest.mark.parametrize("path", PAPERS, ids=name_of)
def test_every_published_number_belongs_to_a_result(folder: Path, path: Path) -> None:
    loaded, found = planned(folder, path)
    known = [*places(found)]
    numbers = read_published(loaded.folder / str(loaded.study.published))
    assert len(numbers) == COUNTS[name_of(path)][1]
    assert [number.line for number in numbers if not any(belongs(number, place) for place in known)] == []
    keys = [tuple(sorted(number.coordinates.items())) for number in numbers]
    assert len(set(keys)) == len(keys), "a number twice"


@pytest.mark.parametrize("path", [path for path in PAPERS if name_of(path) not in CURVES], ids=name_of)
def test_every_training_has_a_published_number(folder: Path, path: Path) -> None:
    loaded, found = planned(folder, path)
    numbers = read_published(loaded.folder / str(loaded.study.published))
    learned = [place for place in places(found) if "student" in place and place.get("teacher")]
    assert [place for place in learned if not any(belongs(number, place) for number in numbers)] == []


def shown(loaded: LoadedStudy, grid: Grid) -> tuple[ReportData, list[PlacedNumber]]:
    """The report of a study of which nothing is finished, and its numbers: none is known, and many are published."""
    data = made_up_report(loaded.study, loaded.folder, grid, share=0)
    return data, placed_numbers(data)


@pytest.mark.parametrize("path", PAPERS, ids=name_of)
def test_every_published_number_is_shown_by_a_layout(folder: Path, path: Path) -> None:
    loaded, grid = planned(folder, path)
    data, numbers = shown(loaded, grid)
    defaults = default_metrics(numbers)
    visible = (one for layout in loaded.study.layouts for one in shown_numbers(layout, numbers, defaults))
    lines = {published.line for one in visible for published in one.published}
    assert [number.line for number in data.published if number.line not in lines] == []
    assert all(view.panels for view in layout_views(data) if not is_made_by_a_run(view.layout))


def test_rewards_and_confidence_of_a_run_are_in_their_table_and_figure(folder: Path) -> None:
    loaded, grid = planned(folder, STUDIES / "papers" / "2412.11231" / "evolvers_instructions.yaml")
    data, _ = shown(loaded, grid)
    rewarded = {(set_key(pairs), name): step for pairs in grid.sets for name, step in pairs.judgements}
    places = [key for key, name in rewarded if name == "reward"]
    rewards = [SetJudgement(place.instructions, "reward", 9, 0, 1.5, None, ()) for place in places]
    sure = [SetProbabilities(place._replace(teacher="", decoding=""), "", 9, 0.7, ()) for place in places]
    views = layout_views(replace(data, judgements=tuple(rewards), confidences=tuple(sure)))
    for name, value in (("Table 14", 1.5), ("Figure 5", 0.7)):
        cells = [
            cell
            for view in views
            if view.layout.name == name
            for panel in view.panels
            for _, row in panel.rows
            for cell in row
        ]
        assert [cell and cell.value for cell in cells] == [value] * 6


def is_made_by_a_run(layout: Layout) -> bool:
    return all(pattern.metric == ["failure rate"] for pattern in layout.only) and bool(layout.only)


@pytest.mark.parametrize("path", PAPERS, ids=name_of)
def test_every_claim_has_pairs_and_says_where_it_is_made(folder: Path, path: Path) -> None:
    loaded, grid = planned(folder, path)
    _, numbers = shown(loaded, grid)
    defaults = default_metrics(numbers)
    assert loaded.study.claims
    for claim in loaded.study.claims:
        assert claim.paper.startswith(f"{path.parent.name}, ")
        if claim.only and is_made_by_a_run(Layout(name="T", rows=["step"], only=claim.only)):
            continue
        for (left, right), pairs in zip(claim.sides, claimed_pairs(claim, numbers, defaults), strict=True):
            assert pairs, f"{claim.claim}: nothing of {left.text} is compared with {right.text}"


@pytest.mark.parametrize("path", PAPERS, ids=name_of)
def test_answers_are_read_and_judged_as_by_the_papers_code(path: Path) -> None:
    study = load(path).study
    kinds = {bench.kind: bench for bench in study.benchmarks}
    if "gsm8k" in kinds:
        assert not kinds["gsm8k"].thousands, "OpenCompass reads $1,200 as 200"
    if "ifeval" in kinds:
        assert kinds["ifeval"].answer_tokens == 1025
    assert [*reference_notes(study)] == []
    measured = [
        number.coordinates["metric"].split()[0] for number in read_published(path.parent / str(study.published))
    ]
    asked = {name for name in measured if name in get_args(Question)}
    assert asked <= {*(study.judging.metrics if study.judging else ())}
