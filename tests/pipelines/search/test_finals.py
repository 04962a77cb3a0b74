"""Further seeds for the best two arms, and the arms that a paired test does not separate."""

from __future__ import annotations

from pipelines.search.finals import SeededCell, final_cells, unseparated
from pipelines.search.risk import GroupRisk
from pipelines.search.space import Cell, SearchSettings


def group(*arms: str, students: tuple[str, ...] = ("s",)) -> GroupRisk:
    return GroupRisk(students, tuple((arm, 10.0 - rank) for rank, arm in enumerate(arms)), (), 0.0)


def test_the_best_two_arms_get_the_remaining_seeds() -> None:
    found = final_cells([group("a", "b", "c")], SearchSettings(seeds=3))
    assert found == tuple(SeededCell(Cell("s", arm), seed) for arm in "ab" for seed in (1, 2))


def test_one_seed_needs_no_finals_and_one_arm_has_its_own() -> None:
    assert final_cells([group("a", "b")], SearchSettings(seeds=1)) == ()
    assert len(final_cells([group("a"), group()], SearchSettings(seeds=2))) == 1


def test_for_all_students_together_every_student_gets_the_seeds() -> None:
    found = final_cells([group("a", "b", students=("s", "t"))], SearchSettings(seeds=2, per="all"))
    assert {(each.cell.student, each.cell.arm) for each in found} == {(s, a) for s in "st" for a in "ab"}


def test_arms_with_a_small_p_value_are_separated_after_correction() -> None:
    values = {"b": 0.9, "c": 0.02, "d": 0.001}
    assert unseparated("abcd", lambda best, other: values[other]) == ("a", "b")
    values["c"] = 0.03  # two comparisons are left: 0.06 after correction
    assert unseparated("abcd", lambda best, other: values[other]) == ("a", "b", "c")


def test_arms_without_shared_tasks_are_not_separated() -> None:
    assert unseparated("ab", lambda best, other: None) == ("a", "b")
    assert unseparated("", lambda best, other: 0.0) == ()
