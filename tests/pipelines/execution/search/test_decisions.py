"""The decisions of a search, with scores from a table in place of trainings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipelines.execution.search.decisions import SearchRun, is_settled
from pipelines.search.finals import SeededCell
from pipelines.search.space import Cell
from pipelines.store.store import Store
from pipelines.store.studies.search_log import SearchDecision, load_decisions
from pipelines.study.graph.build import build
from pipelines.study.search_grid import SearchGrid, Values, search_grid
from tests.support.studies import STUDENTS, scripted_study

NAMES = ("one", "two", "three", "four", "five", "six")
QUALITY = {"one": 10.0, "two": 30.0, "three": 22.0, "four": 6.0, "five": 29.5, "six": 4.0}
PRIOR = {"one": 3.0, "two": 5.0, "three": 4.0, "four": 2.0, "five": 4.5, "six": 1.0}


class Killed(BaseException):
    """The process was killed."""


def searched(**changes: object) -> SearchGrid:
    models = {
        name: {"source": name, "engine": "scripted", "cpus": 0.1} for name in (*NAMES, "small", "large", "scorer")
    }
    study = scripted_study(
        models=models,
        evolution=[],
        responses={"teachers": [*NAMES], "answer_seeds": True},
        **STUDENTS,
        search={"over": "teacher", "prior": ["ifd"], "seeds": 3, "risk": 0.1, **changes},
    )
    found = search_grid(study, build(study, Path()))
    assert found
    return found


@dataclass
class Table:
    """A laboratory that looks scores up. It is killed before its step `killed_at`, if that is given."""

    trained: dict[SeededCell, float] = field(default_factory=dict)
    fails: frozenset[str] = frozenset()
    killed_at: int | None = None
    room: int = 2
    misleading: frozenset[float] = frozenset()  # shares whose scores are in reverse order
    steps: int = 0
    probes: int = 0
    trainings: list[SeededCell] = field(default_factory=list)

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.killed_at:
            raise Killed

    def probe(self) -> Mapping[str, Values]:
        self.step()
        self.probes += 1
        students = ("small full", "large lora")
        return {"ifd": {Cell(student, arm): value for student in students for arm, value in PRIOR.items()}}

    def train(self, cells: Sequence[SeededCell]) -> None:
        for place in cells:
            if place not in self.trained and place.cell.arm not in self.fails:
                self.step()
                self.trainings.append(place)
                full = QUALITY[place.cell.arm] * (1.1 if "lora" in place.cell.student else 1) + place.seed
                self.trained[place] = place.share * (1 / full if place.share in self.misleading else full)
        self.step()

    def scores(self) -> Mapping[SeededCell, float]:
        return dict(self.trained)

    def p_value(self, students: Sequence[str]) -> Callable[[str, str], float | None]:
        return lambda first, second: 0.5 if abs(QUALITY[first] - QUALITY[second]) < 1 else 0.001


def run(grid: SearchGrid, store: Store, lab: Table) -> list[SearchDecision]:
    SearchRun(grid, store, lab).run(lambda decision: None)
    return load_decisions(store, grid.study.study)


def test_the_best_arms_are_found_with_fewer_trainings_and_each_decision_is_kept(tmp_path: Path) -> None:
    store, lab, grid = Store(str(tmp_path)), Table(), searched()
    made = run(grid, store, lab)
    assert made[0].reason == "start" and [one.reason for one in made[-2:]] == ["finals", "stop"]
    assert len([place for place in lab.trainings if place.seed == 0]) < len(grid.space.cells)
    assert {group.inseparable for group in made[-1].groups} == {("two", "five")}
    assert all(group.risk <= 0.1 for group in made[-1].groups)
    finals = [place for place in lab.trainings if place.seed]
    assert {place.cell.arm for place in finals} == {"two", "five"} and len(finals) == 2 * 2 * 2
    assert made[0].priors["ifd"] and made[0].scores == () and len(made[-1].scores) < len(grid.space.cells)


def test_a_search_that_is_killed_at_any_point_decides_as_if_it_had_not_been(tmp_path: Path) -> None:
    grid, whole = searched(), Table(fails=frozenset({"two"}))
    expected = run(grid, Store(str(tmp_path / "whole")), whole)
    for point in range(1, whole.steps + 1):
        store, trained = Store(str(tmp_path / str(point))), dict[SeededCell, float]()
        with pytest.raises(Killed):
            run(grid, store, Table(trained, whole.fails, killed_at=point))
        before = len(trained)
        again = Table(trained, whole.fails)
        assert run(grid, store, again) == expected
        assert before + len(again.trainings) == len(whole.trainings), "no training is repeated"


def test_a_finished_search_decides_nothing_more_until_something_is_measured(tmp_path: Path) -> None:
    grid, store, lab = searched(), Store(str(tmp_path)), Table()
    assert not is_settled(grid, store, lab.scores())
    made = run(grid, store, lab)
    assert is_settled(grid, store, lab.scores())
    assert run(grid, store, lab) == made and lab.probes == 1
    lab.trained[SeededCell(Cell("small full", "six"), 0)] = 4.0
    assert not is_settled(grid, store, lab.scores())
    assert [one.reason for one in run(grid, store, lab)[len(made) :]] == ["stop"]


def test_a_failed_training_is_replaced_recorded_and_asked_for_again_by_the_next_run(tmp_path: Path) -> None:
    grid, store, trained = searched(), Store(str(tmp_path)), dict[SeededCell, float]()
    made = run(grid, store, Table(trained, frozenset({"two"})))
    assert {one.arm for one in made[-1].failed} == {"two"}
    assert {group.trained[0][0] for group in made[-1].groups} == {"five"}
    again = Table(trained)
    assert {group.trained[0][0] for group in run(grid, store, again)[-1].groups} == {"two"}
    assert {place.cell.arm for place in again.trainings} >= {"two"}


def test_what_is_trained_already_is_known_to_the_search(tmp_path: Path) -> None:
    grid = searched(seeds=1)
    lab = Table()
    lab.train(grid.seeded(grid.space.cells))
    before = len(lab.trainings)
    (only,) = run(grid, Store(str(tmp_path)), lab)
    assert only.reason == "stop" and len(lab.trainings) == before
    assert all(group.risk == 0 for group in only.groups)


def test_all_students_together_get_the_same_arms(tmp_path: Path) -> None:
    grid, lab = searched(per="all"), Table(room=1)
    made = run(grid, Store(str(tmp_path)), lab)
    assert len(made[-1].groups) == 1 and made[-1].groups[0].students == ("small full", "large lora")
    arms = [
        {place.cell.arm for place in lab.trainings if student == place.cell.student} for student in grid.space.students
    ]
    assert arms[0] == arms[1]


def test_other_settings_are_another_search_with_decisions_of_its_own(tmp_path: Path) -> None:
    store, trained = Store(str(tmp_path)), dict[SeededCell, float]()
    first = run(searched(), store, Table(trained))
    lab = Table(trained)
    both = run(searched(risk=0.5), store, lab)
    assert both[: len(first)] == first and len(both) == len(first) + 1
    assert [one.number for one in both] == [*range(len(both))] and lab.trainings == []


RUNGS = {"start": 3, "seeds": 1, "rungs": {"shares": [0.1, 0.5]}}


def test_trusted_partial_trainings_are_recorded_and_become_a_prior(tmp_path: Path) -> None:
    grid, lab = searched(**RUNGS), Table()
    made = run(grid, Store(str(tmp_path)), lab)
    assert [one.reason for one in made if one.reason != "start"] == ["rung", "rung", "risk", "stop"]
    assert [(one.share, one.rho, one.trusted) for one in made[-1].rungs] == [(0.1, 1.0, True)]
    assert made[-1].rungs[0].text == "10 % of the rows trusted: Spearman 1.00 over 6 cells"
    assert {one.share for one in made[-3].cells} == {0.1} and not any(place.share == 0.5 for place in lab.trainings)
    assert made[-3].cells[0].text == "one for small full (10 % of the rows)"
    assert len(made[-1].partial) == 12 and len(made[-1].scores) == 8
    assert len(made[-1].priors["10 % of the rows"]) == 12
    assert is_settled(grid, Store(str(tmp_path)), lab.scores())


def test_partial_trainings_that_mislead_are_measured_and_left(tmp_path: Path) -> None:
    lab, plain = Table(misleading=frozenset({0.1, 0.5})), Table()
    made = run(searched(**RUNGS), Store(str(tmp_path / "one")), lab)
    run(searched(**RUNGS | {"rungs": None}), Store(str(tmp_path / "other")), plain)
    assert [(one.share, one.trusted) for one in made[-1].rungs] == [(0.1, False), (0.5, False)]
    assert made[-1].rungs[0].text == "10 % of the rows not trusted: Spearman -1.00 over 6 cells, and 0.9 is needed"
    assert [place for place in lab.trainings if place.share == 1] == plain.trainings
    assert [*made[-1].priors] == ["ifd"] and len([place for place in lab.trainings if place.share < 1]) == 12


@pytest.mark.parametrize("misleading", [frozenset[float](), frozenset({0.1})])
def test_a_search_with_partial_trainings_decides_the_same_after_a_kill(
    tmp_path: Path, misleading: frozenset[float]
) -> None:
    grid, whole = searched(**RUNGS), Table(fails=frozenset({"four"}), misleading=misleading)
    expected = run(grid, Store(str(tmp_path / "whole")), whole)
    assert {one.share for one in expected[-1].failed} == {0.5 if misleading else 0.1, 1.0}
    for point in range(1, whole.steps + 1):
        store, trained = Store(str(tmp_path / str(point))), dict[SeededCell, float]()
        with pytest.raises(Killed):
            run(grid, store, Table(trained, whole.fails, killed_at=point, misleading=misleading))
        before = len(trained)
        again = Table(trained, whole.fails, misleading=misleading)
        assert run(grid, store, again) == expected
        assert before + len(again.trainings) == len(whole.trainings), "no training is repeated"
