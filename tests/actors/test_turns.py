"""Everybody who waits is served in turn, however long the others' queues are."""

from __future__ import annotations

from collections import Counter

from actors.turns import Turns


def filled(**lanes: int) -> Turns[tuple[str, int]]:
    """Names are ASKER_LANE, numbers how many items wait there. Items are (name, position)."""
    turns: Turns[tuple[str, int]] = Turns()
    for name, count in lanes.items():
        asker, _, lane = name.partition("_")
        for position in range(count):
            turns.put(asker, lane, (name, position))
    return turns


def names(items: list[tuple[str, int]]) -> list[str]:
    return [name for name, _ in items]


def test_a_lane_is_first_in_first_out() -> None:
    assert [position for _, position in filled(a_x=5).take(5)] == [0, 1, 2, 3, 4]


def test_askers_take_turns_whatever_the_length_of_their_queues() -> None:
    turns = filled(flood_x=1000, small_x=3, other_x=5)
    assert names(turns.take(9)) == ["flood_x", "small_x", "other_x"] * 3
    assert Counter(names(turns.take(10))) == {"flood_x": 8, "other_x": 2}


def test_an_asker_gains_nothing_by_having_many_lanes() -> None:
    turns = filled(**{f"many_{lane}": 50 for lane in range(10)}, one_x=50)
    assert Counter(name.partition("_")[0] for name in names(turns.take(40))) == {"many": 20, "one": 20}


def test_the_lanes_of_an_asker_take_turns() -> None:
    turns = filled(a_long=100, a_short=2, a_middle=4)
    assert names(turns.take(6)) == ["a_long", "a_short", "a_middle"] * 2
    assert Counter(names(turns.take(6))) == {"a_long": 4, "a_middle": 2}


def test_who_comes_late_is_served_in_the_next_round() -> None:
    turns = filled(flood_x=100)
    turns.take(7)
    turns.put("late", "x", ("late_x", 0))
    assert "late_x" in names(turns.take(2))


def test_no_more_is_taken_than_there_is() -> None:
    turns = filled(a_x=2, b_x=1)
    assert len(turns) == 3
    assert len(turns.take(10)) == 3
    assert (len(turns), turns.take(1), list(turns)) == (0, [], [])


def test_what_an_asker_has_waiting_can_be_dropped() -> None:
    turns = filled(gone_x=5, gone_y=5, here_x=2)
    turns.drop("gone")
    turns.drop("unknown")
    assert len(turns) == 2
    assert names(list(turns)) == names(turns.take(9)) == ["here_x", "here_x"]
