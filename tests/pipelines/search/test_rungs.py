"""Partial trainings: when they are asked for, when they are trusted, and what they are used for."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from pipelines.search.replay import Replay, replay
from pipelines.search.rungs import Verdict, judge, next_step, rung_name, with_rung
from pipelines.search.simulate import simulate_cost
from pipelines.search.space import Cell, Evidence, RungSettings, SearchSettings, SearchSpace

ARMS = tuple("abcdefgh")
SPACE = SearchSpace(("small", "large"), ARMS)
SETTINGS = SearchSettings(start=3, rungs=RungSettings((0.1, 0.3)))
TENTH = rung_name(0.1)


def truth(cell: Cell) -> float:
    """The arms are in no order that the grid knows; the large student is twice as good."""
    return (2 if cell.student == "large" else 1) * (10 + 3 * "ehbagcfd".index(cell.arm))


def search(*misleading: float, settings: SearchSettings = SETTINGS) -> Replay:
    """Search with partial scores that rank cells as the full ones do, but for the shares that are `misleading`."""
    return replay(SPACE, settings, truth, 2, lambda cell, share: truth(cell) ** (-1 if share in misleading else 1))


def started(*arms: str) -> dict[Cell, float]:
    return {cell: truth(cell) for cell in SPACE.cells if cell.arm in arms}


def test_a_share_is_measured_on_the_start_before_other_cells_are_trained_on_it() -> None:
    start = started(*"abc")
    first = next_step(SPACE, Evidence(start), SETTINGS)
    assert (first.decision.reason, first.share, first.verdicts) == ("rung", 0.1, ())
    assert set(first.decision.cells) == {*start}
    second = next_step(SPACE, Evidence(start, partial={0.1: start}), SETTINGS)
    assert second.verdicts == (Verdict(0.1, 6, 1.0, True),)
    assert (second.decision.reason, second.share) == ("rung", 0.1)
    assert set(second.decision.cells) == {*SPACE.cells} - {*start}
    assert TENTH not in {name for name, prior in second.space.priors.items() if prior}, "no student has all of them yet"


def test_trusted_partial_scores_are_a_prior_that_saves_trainings_and_finds_the_best() -> None:
    found, plain = search(), search(settings=replace(SETTINGS, rungs=RungSettings()))
    assert [group.best for group in found.groups] == ["d", "d"]
    assert found.verdicts == (Verdict(0.1, 6, 1.0, True),) and len(found.partial[0.1]) == len(SPACE.cells)
    assert len(found.scores) < len(plain.scores)
    assert found.cost == pytest.approx(len(found.scores) + 0.1 * len(SPACE.cells)) and plain.cost == len(plain.scores)


def test_a_share_that_ranks_otherwise_is_not_used_and_the_next_one_is_measured() -> None:
    found = search(0.1)
    assert [(one.share, one.trusted) for one in found.verdicts] == [(0.1, False), (0.3, True)]
    assert len(found.partial[0.1]) == 6 and len(found.partial[0.3]) == len(SPACE.cells)


def test_without_a_trusted_share_the_search_is_that_without_rungs() -> None:
    found, plain = search(0.1, 0.3), search(settings=replace(SETTINGS, rungs=RungSettings()))
    assert [one.trusted for one in found.verdicts] == [False, False]
    assert (found.scores, found.groups) == (plain.scores, plain.groups)
    assert {share: len(values) for share, values in found.partial.items()} == {0.1: 6, 0.3: 6}


def test_a_share_waits_for_enough_cells_and_a_student_s_only_cell_does_not_count() -> None:
    few = {Cell("small", arm): truth(Cell("small", arm)) for arm in "abcd"} | {Cell("large", "a"): 7.0}
    settings = replace(SETTINGS, start=1)
    assert next_step(SPACE, Evidence(few), settings).decision.reason == "risk"
    more = few | {Cell("small", "e"): 11.0}
    found = next_step(SPACE, Evidence(more), settings)
    assert found.decision.reason == "rung" and {cell.student for cell in found.decision.cells} == {"small"}


def test_nothing_is_trained_in_part_once_all_risks_are_low_enough_or_in_the_start() -> None:
    whole = {cell: truth(cell) for cell in SPACE.cells}
    assert next_step(SPACE, Evidence(whole), SETTINGS).decision.reason == "stop"
    assert next_step(SPACE, Evidence(started("a")), SETTINGS).decision.reason == "start"


def test_the_level_of_a_student_does_not_count_as_a_rank() -> None:
    start = started(*"abc")
    turned = {cell: (100 if cell.student == "large" else 1) / score for cell, score in start.items()}
    (verdict,) = judge(SPACE, Evidence(start, partial={0.1: turned}), SETTINGS)
    assert verdict.rho is not None and verdict.rho < -0.9


def test_equal_scores_have_no_rank_and_are_not_trusted() -> None:
    start = started(*"abc")
    assert judge(SPACE, Evidence(start, partial={0.1: dict.fromkeys(start, 4.0)}), SETTINGS) == (
        Verdict(0.1, 6, None, False),
    )


def test_failed_partial_trainings_are_not_asked_for_again_and_count_as_average() -> None:
    start = started(*"abc")
    partial = start | {Cell("small", "a"): math.nan}
    found = next_step(SPACE, Evidence(start, partial={0.1: partial}), SETTINGS)
    assert found.verdicts == (Verdict(0.1, 5, 1.0, True),)
    assert Cell("small", "a") not in found.decision.cells
    everywhere = {cell: truth(cell) for cell in SPACE.cells} | {Cell("small", "h"): math.nan}
    space = with_rung(SPACE, Evidence(start, partial={0.1: everywhere}), SETTINGS, found.verdicts)
    assert {*space.priors[TENTH]} == {*SPACE.cells} - {Cell("small", "h")}


def test_a_student_with_a_gap_has_no_such_prior() -> None:
    partial = {cell: truth(cell) for cell in SPACE.cells if cell != Cell("small", "h")}
    trusted = (Verdict(0.1, 6, 0.95, True),)
    space = with_rung(SPACE, Evidence(partial={0.1: partial}), SETTINGS, trusted)
    assert {cell.student for cell in space.priors[TENTH]} == {"large"}
    failed = Evidence(failed=frozenset({Cell("small", "h")}), partial={0.1: partial})
    assert {cell.student for cell in with_rung(SPACE, failed, SETTINGS, trusted).priors[TENTH]} == {"small", "large"}


def test_a_lower_score_is_better_if_the_search_says_so() -> None:
    settings = replace(SETTINGS, higher_is_better=False)
    found = replay(SPACE, settings, truth, 2, lambda cell, share: truth(cell))
    assert [group.best for group in found.groups] == ["e", "e"] and found.verdicts[0].trusted


def test_a_verdict_is_given_once() -> None:
    start = started(*"abc")
    made = (Verdict(0.1, 6, 0.2, False), Verdict(0.3, 6, 0.95, True))
    assert judge(SPACE, Evidence(start, partial={0.1: start, 0.3: start}), SETTINGS, made) == made


def test_the_simulated_cost_counts_partial_trainings_as_their_share() -> None:
    plain = simulate_cost(SPACE, replace(SETTINGS, rungs=RungSettings()), repetitions=5)
    found = simulate_cost(SPACE, SETTINGS, repetitions=5)
    assert plain.partial == 0 and 0 < found.partial <= 0.4 * len(SPACE.cells)
    assert found.least == plain.least and found.most == pytest.approx(plain.most + 0.4 * len(SPACE.cells))


@pytest.mark.parametrize("wrong", [{"shares": (0.3, 0.1)}, {"shares": (1.0,)}, {"trust": 1.5}, {"cells": 2}])
def test_settings_out_of_range_are_rejected(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"rising order|at least 3 cells"):
        RungSettings(**wrong)  # pyright: ignore[reportArgumentType]
