"""The finals: extra training seeds for the best arms, and the arms that a paired test cannot separate from the best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from pipelines.search.risk import GroupRisk
from pipelines.search.space import Cell, SearchSettings

FINALISTS = 2
SIGNIFICANCE = 0.05


class SeededCell(NamedTuple):
    """A cell, the number of a training seed (the search itself trains seed 0), and the share of its rows."""

    cell: Cell
    seed: int
    share: float = 1.0


def final_cells(groups: Sequence[GroupRisk], settings: SearchSettings) -> tuple[SeededCell, ...]:
    """Return the further seeds of the best two arms of every group, in a fixed order.

    Both arms of a group get them, so that the paired test compares arms with the same number of seeds.
    """
    return tuple(
        SeededCell(Cell(student, arm), seed)
        for group in groups
        for arm, _ in group.trained[:FINALISTS]
        for seed in range(1, settings.seeds)
        for student in group.students
    )


def unseparated(
    ranked: Sequence[str], p_value: Callable[[str, str], float | None], significance: float = SIGNIFICANCE
) -> tuple[str, ...]:
    """Return the best arm and those that the paired test does not separate from it, in the order of `ranked`.

    `ranked` are the trained arms, the best one first. `p_value(best, other)` is the paired test's two-sided p-value,
    None where the two share no tasks; such arms are not separated. The p-values are corrected for the number of
    comparisons with Holm's method, because the best arm was found by comparing all of them.
    """
    if not ranked:
        return ()
    best, others = ranked[0], ranked[1:]
    known = {arm: 1.0 if (p := p_value(best, arm)) is None else p for arm in others}
    separated = set[str]()
    for rank, arm in enumerate(sorted(others, key=lambda arm: known[arm])):
        if known[arm] * (len(others) - rank) > significance:
            break
        separated.add(arm)
    return tuple(arm for arm in ranked if arm not in separated)
