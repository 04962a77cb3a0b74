"""The rotation of Evol-Instruct's methods (2412.11231, reference code), with published counts as oracle."""

from __future__ import annotations

from collections import Counter

import pytest

import prompts
from pipelines.study.graph.steps.methods import method_for, prompt_name, random_method, rotation

FIVE = rotation(breadth=True)
FOUR = rotation(breadth=False)


@pytest.mark.parametrize(("number", "ids"), [(1, [0, 1, 2, 3, 4, 0]), (2, [1, 2, 3, 4, 0, 1]), (3, [2, 3, 4, 0, 1, 2])])
def test_five_methods_rotate_by_row_and_round(number: int, ids: list[int]) -> None:
    assert [FIVE.index(method_for(FIVE, row, number)) for row in range(6)] == ids


@pytest.mark.parametrize(
    ("row", "number", "method"), [(3, 2, "constraints"), (2, 3, "constraints"), (7, 1, "reasoning")]
)
def test_four_methods_without_breadth(row: int, number: int, method: str) -> None:
    assert method_for(FOUR, row, number) == method


def test_method_counts_of_the_published_seed_sets() -> None:
    gsm8k = Counter(method_for(FOUR, row, 1) for row in range(7_473))
    assert [gsm8k[method] for method in FOUR] == [1869, 1868, 1868, 1868]
    for number in (1, 2, 3):
        alpaca = Counter(method_for(FIVE, row, number) for row in range(51_983))
        assert sorted(alpaca.values()) == [10_396, 10_396, 10_397, 10_397, 10_397]


def test_three_rounds_give_a_row_three_different_methods() -> None:
    for methods in (FOUR, FIVE):
        assert all(len({method_for(methods, row, number) for number in (1, 2, 3)}) == 3 for row in range(10))


def test_random_methods_are_drawn_evenly_by_seed_and_round_and_come_out_the_same_again() -> None:
    drawn = [random_method(FIVE, f"{row:032x}", number, 7) for number in (1, 2) for row in range(5_000)]
    assert drawn == [random_method(FIVE, f"{row:032x}", number, 7) for number in (1, 2) for row in range(5_000)]
    assert all(1_850 < count < 2_150 for count in Counter(drawn).values()) and set(drawn) == set(FIVE)
    pairs = Counter(zip(drawn[:5_000], drawn[5_000:], strict=True))
    assert len(pairs) == 25 and all(130 < count < 280 for count in pairs.values()), "rounds are independent"
    assert drawn[:5_000] != [random_method(FIVE, f"{row:032x}", 1, 8) for row in range(5_000)]


def test_every_method_has_a_prompt() -> None:
    assert all(prompts.get(prompt_name(method)).variables == ("instruction",) for method in FIVE)
