"""Exactly the requests that crash their process are found, in few crashes, whatever their position in the group."""

from __future__ import annotations

import gc
import math
from collections.abc import Collection

import pytest

from actors.serving.queueing.poison_search import MAX_CRASHES_ISOLATED, PoisonSearch


class Item:
    """A request; only its identity counts."""

    def __init__(self, number: int) -> None:
        self.number = number


def search(suspects: PoisonSearch[Item], guilty: Collection[int]) -> tuple[list[int], list[int], int]:
    """Run groups until none is left. Return the numbers of crashing and of surviving requests, and the crash count."""
    found: list[int] = []
    survived: list[int] = []
    deaths = 0
    while suspects:
        group = suspects.next_batch()
        if any(item.number in guilty for item in group):
            deaths += 1
            culprit = suspects.batch_died(group)
            found += [culprit.number] if culprit else []
        else:
            survived += [item.number for item in group]
    return found, survived, deaths


@pytest.mark.parametrize("size", range(1, 71))
def test_the_guilty_one_is_found_at_every_place(size: int) -> None:
    for guilty in range(size):
        suspects: PoisonSearch[Item] = PoisonSearch()
        suspects.add([Item(number) for number in range(size)])
        found, survived, deaths = search(suspects, {guilty})
        assert found == [guilty]
        assert sorted(survived) == [number for number in range(size) if number != guilty]
        assert 1 + deaths <= math.log2(size) + 4  # with the crash that made them suspects


@pytest.mark.parametrize("guilty", [{0, 1}, {0, 63}, {5, 6, 40}, set(range(8)), set(range(64))])
def test_several_guilty_ones_are_all_found(guilty: set[int]) -> None:
    suspects: PoisonSearch[Item] = PoisonSearch()
    suspects.add([Item(number) for number in range(64)])
    found, survived, deaths = search(suspects, guilty)
    assert sorted(found) == sorted(guilty)
    assert sorted(survived) == sorted(set(range(64)) - guilty)
    assert deaths <= len(guilty) * (math.log2(64) + 2)


def test_a_guilty_one_that_answers_reach_before_it_kills_is_found() -> None:
    suspects: PoisonSearch[Item] = PoisonSearch()
    suspects.add([Item(number) for number in range(8)])
    deaths = 0
    while suspects:
        group = suspects.next_batch()
        if not any(item.number == 3 for item in group):
            continue
        deaths += 1
        unanswered = [item for item in group if item.number >= 3]  # those before it were answered meanwhile
        if culprit := suspects.batch_died(unanswered):
            assert culprit.number == 3
            break
    assert deaths <= 5


def test_groups_of_several_deaths_are_searched_one_by_one() -> None:
    suspects: PoisonSearch[Item] = PoisonSearch()
    suspects.add([Item(number) for number in range(10)])
    suspects.add([])
    suspects.add([Item(number) for number in range(10, 15)])
    assert len(suspects) == 15
    found, survived, _ = search(suspects, {4, 12})
    assert (sorted(found), len(survived)) == ([4, 12], 13)


def test_a_single_is_not_blamed_for_one_death() -> None:
    suspects: PoisonSearch[Item] = PoisonSearch()
    item = Item(0)
    for _ in range(MAX_CRASHES_ISOLATED - 1):
        assert suspects.batch_died([item]) is None
        assert suspects.next_batch() == [item]
    assert suspects.batch_died([item]) is item
    assert not suspects


def test_a_death_with_nothing_in_flight_blames_nobody() -> None:
    suspects: PoisonSearch[Item] = PoisonSearch()
    assert suspects.batch_died([]) is None
    assert not suspects


def test_an_earlier_suspect_that_was_acquitted_does_not_burden_a_later_one() -> None:
    suspects: PoisonSearch[Item] = PoisonSearch()
    for number in range(1000):  # memory of those acquitted is used again
        assert suspects.batch_died([Item(number)]) is None
        suspects.next_batch()
        gc.collect(0)


def test_giving_up_returns_all_and_forgets_them() -> None:
    suspects: PoisonSearch[Item] = PoisonSearch()
    item = Item(0)
    suspects.batch_died([item])
    suspects.add([Item(1), Item(2)])
    assert [each.number for each in suspects.drain()] == [0, 1, 2]
    assert not suspects
    assert suspects.batch_died([item]) is None  # its earlier crash is forgotten, too
