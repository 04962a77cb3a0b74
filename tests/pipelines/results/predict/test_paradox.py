"""How often a smaller teacher makes the better student."""

from __future__ import annotations

from pipelines.results.predict.paradox import Paradox, Teacher, paradoxes

TEACHERS = [Teacher("large", "llama", 70), Teacher("small", "llama", 8), Teacher("other", "gemma", 9)]


def test_a_tie_is_no_win_and_a_base_without_both_does_not_count() -> None:
    performance = {
        ("a", "small"): 2.0,
        ("a", "large"): 1.0,
        ("b", "small"): 1.0,
        ("b", "large"): 1.0,
        ("c", "small"): 9.0,
        ("a", "other"): 0.0,
    }
    assert paradoxes(TEACHERS, performance) == [Paradox("small", "large", 1, 2)]


def test_teachers_of_one_size_are_not_compared() -> None:
    same = [Teacher("one", "llama", 8), Teacher("two", "llama", 8)]
    assert paradoxes(same, {("a", "one"): 1.0, ("a", "two"): 2.0}) == []
