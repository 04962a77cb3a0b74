"""Which cells are trained next, and when a search stops."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipelines.search.decide import Decision, next_cells
from pipelines.search.space import Cell, Evidence, SearchSettings, SearchSpace

ARMS = ("a", "b", "c", "d", "e", "f")
STUDENTS = ("small", "large")
SETTINGS = SearchSettings()


def space(*students: str, arms: tuple[str, ...] = ARMS, absent: frozenset[Cell] = frozenset()) -> SearchSpace:
    """A grid whose prior puts the arms in reverse order: the last one is expected to be the best."""
    prior = {Cell(student, arm): float(number) for student in students for number, arm in enumerate(arms)}
    return SearchSpace(students, arms, {"car": prior}, absent)


def truth(cell: Cell) -> float:
    """The last arm is the best by far: each arm has twice the score of the one before it."""
    return 2.0 ** ARMS.index(cell.arm) * (3 if cell.student == "large" else 1)


def search(grid: SearchSpace, settings: SearchSettings = SETTINGS, room: int = 1) -> tuple[list[Decision], Evidence]:
    """Run a search to its end; all trainings succeed."""
    evidence, decisions = Evidence(), list[Decision]()
    while not decisions or decisions[-1].reason != "stop":
        decisions.append(next_cells(grid, evidence, settings, room))
        evidence = replace(evidence, scores={**evidence.scores, **{cell: truth(cell) for cell in decisions[-1].cells}})
    return decisions, evidence


def test_the_start_is_the_best_two_of_the_prior_for_each_student() -> None:
    first = next_cells(space(*STUDENTS), Evidence(), SETTINGS, room=9)
    assert first.reason == "start"
    assert set(first.cells) == {Cell(student, arm) for student in STUDENTS for arm in ("e", "f")}
    assert [group.risk for group in first.groups] == [1, 1]


def test_a_good_prior_stops_long_before_the_grid_is_full() -> None:
    decisions, evidence = search(space(*STUDENTS))
    assert decisions[-1].cells == ()
    assert len(evidence.scores) <= 8
    assert [group.best for group in decisions[-1].groups] == ["f", "f"]
    assert all(group.risk <= SETTINGS.risk for group in decisions[-1].groups)


def test_a_risk_of_zero_trains_everything() -> None:
    decisions, evidence = search(space(*STUDENTS), replace(SETTINGS, risk=0.0))
    assert set(evidence.scores) == set(space(*STUDENTS).cells)
    assert [group.risk for group in decisions[-1].groups] == [0, 0]


def test_cells_in_parallel_are_those_needed_even_if_none_becomes_the_best() -> None:
    grid = space(*STUDENTS)
    alone = next_cells(grid, Evidence(), SETTINGS, room=1)
    running = Evidence(running=frozenset(alone.cells))
    assert (*alone.cells, *next_cells(grid, running, SETTINGS, room=3).cells) == next_cells(
        grid, Evidence(), SETTINGS, room=4
    ).cells


def test_nothing_is_added_while_all_that_is_needed_runs() -> None:
    grid = space(*STUDENTS)
    start = next_cells(grid, Evidence(), SETTINGS, room=9).cells
    assert next_cells(grid, Evidence(running=frozenset(start)), SETTINGS, room=9).reason == "wait"


def test_an_arm_that_fails_in_the_start_is_replaced_and_never_chosen() -> None:
    grid, broken = space("small"), Cell("small", "f")
    first = next_cells(grid, Evidence(failed=frozenset({broken})), SETTINGS, room=9)
    assert first.cells == (Cell("small", "e"), Cell("small", "d"))
    assert all(chance.arm != "f" for chance in first.groups[0].candidates)


def test_a_student_whose_arms_all_fail_ends_without_a_best_arm() -> None:
    grid = space("small", arms=("a", "b"))
    last = next_cells(grid, Evidence(failed=frozenset(grid.cells)), SETTINGS)
    assert (last.reason, last.groups[0].best, last.groups[0].risk) == ("stop", None, 0)


def test_a_cell_that_the_grid_lacks_is_never_asked_for() -> None:
    grid = space(*STUDENTS, absent=frozenset({Cell("small", "f")}))
    _, evidence = search(grid, replace(SETTINGS, risk=0.0))
    assert len(evidence.scores) == 11
    assert Cell("small", "f") not in evidence.scores


def test_one_student_and_one_arm_need_one_training() -> None:
    decisions, evidence = search(space("small", arms=("a",)))
    assert list(evidence.scores) == [Cell("small", "a")]
    assert decisions[-1].groups[0].best == "a"


def test_without_priors_and_with_equal_scores_the_order_of_the_grid_decides() -> None:
    grid = SearchSpace(("small",), ARMS)
    assert next_cells(grid, Evidence(), SETTINGS, room=9).cells == (Cell("small", "a"), Cell("small", "b"))
    tied = Evidence({Cell("small", "a"): 5.0, Cell("small", "b"): 5.0})
    decision = next_cells(grid, tied, SETTINGS, room=1)
    assert decision.groups[0].best == "a"
    assert decision.cells == (Cell("small", "c"),)


def test_for_all_students_together_an_arm_is_trained_for_every_student() -> None:
    settings = replace(SETTINGS, per="all")
    decisions, evidence = search(space(*STUDENTS), settings)
    assert len(decisions[-1].groups) == 1
    assert decisions[-1].groups[0].best == "f"
    arms = {cell.arm for cell in evidence.scores}
    assert set(evidence.scores) == {Cell(student, arm) for student in STUDENTS for arm in arms}
    assert len(arms) < len(ARMS)


def test_for_all_students_together_an_arm_that_failed_for_one_is_out() -> None:
    settings = replace(SETTINGS, per="all")
    first = next_cells(space(*STUDENTS), Evidence(failed=frozenset({Cell("large", "f")})), settings, room=2)
    assert first.cells == (Cell("small", "e"), Cell("large", "e"))


def test_room_must_be_positive() -> None:
    with pytest.raises(ValueError, match="room is 0"):
        next_cells(space("small"), Evidence(), SETTINGS, room=0)
