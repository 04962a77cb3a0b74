"""The decisions of a search: which cells to train next, and when to stop.

A decision is a function of the measured cells, the priors and the settings. Nothing is drawn at random.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipelines.search.risk import GroupRisk, combined_risk, group_risks
from pipelines.search.space import Cell, Evidence, SearchSettings, SearchSpace

Reason = Literal["start", "risk", "rung", "wait", "stop"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What to train next.

    `reason` is "start" (an arm of the start is among the cells), "risk" (all cells are there because of a risk), "rung"
    (partial trainings), "wait" (trainings are running, and nothing has to be added) or "stop" (nothing is running, and
    all risks are low enough).
    `groups` has the numbers that the decision was made from.
    """

    cells: tuple[Cell, ...]
    reason: Reason
    groups: tuple[GroupRisk, ...]


def next_cells(space: SearchSpace, evidence: Evidence, settings: SearchSettings, room: int = 1) -> Decision:
    """Return up to `room` cells to train now, the most useful ones first.

    First, the `start` arms with the best priors are trained for each group of students (arms that fail are replaced).
    Then the group with the highest risk gets its likeliest arm. Cells that are running, or are added by this decision,
    are assumed not to become the best: what is added beside them would be needed even then. With `per: all`, an arm's
    missing cells are added together, also if they are more than `room`.

    Raises:
        ValueError: `room` is below 1, a cell is not one of the grid, or a score is negative on the scale "log".
    """
    if room < 1:
        raise ValueError(f"room is {room}; it must be at least 1")
    found = tuple(group_risks(space, evidence, settings))
    waiting, chosen = set(evidence.running), list[Cell]()
    starting = False
    while len(chosen) < room:
        cells = _starting_arm(space, found, waiting, settings)
        starting |= bool(cells)
        cells = cells or _risky_arm(found, waiting, settings)
        if not cells:
            break
        chosen += cells
        waiting.update(cells)
    if chosen:
        return Decision(tuple(chosen), "start" if starting else "risk", found)
    return Decision((), "wait" if evidence.running else "stop", found)


def _starting_arm(
    space: SearchSpace, found: tuple[GroupRisk, ...], waiting: set[Cell], settings: SearchSettings
) -> tuple[Cell, ...]:
    """Return the cells of the next arm that a group needs for its start; none if all groups have theirs."""
    for group in found:
        if _missing_start(group, waiting, settings) > 0:
            order = _prior_order(space, group.students)
            idle = (chance for chance in group.candidates if set(chance.missing) - waiting)
            best = min(idle, key=lambda chance: order.index(chance.arm), default=None)
            if best:
                return tuple(cell for cell in best.missing if cell not in waiting)
    return ()


def _missing_start(group: GroupRisk, waiting: set[Cell], settings: SearchSettings) -> int:
    """Return the number of arms that still have to be started for a group's start."""
    promised = sum(set(chance.missing) <= waiting for chance in group.candidates)
    return settings.start - len(group.trained) - promised


def _risky_arm(found: tuple[GroupRisk, ...], waiting: set[Cell], settings: SearchSettings) -> tuple[Cell, ...]:
    """Return the cells of the likeliest arm of the riskiest group, as if the waiting cells were not the best.

    With a risk of 0, also arms whose probability is too small for a float are taken.
    """
    riskiest, most = None, settings.risk or -1.0
    for group in found:
        idle = [chance for chance in group.candidates if set(chance.missing) - waiting]
        risk = combined_risk([chance.probability for chance in idle])
        started = len(group.trained) >= min(settings.start, len(group.trained) + len(group.candidates))
        if idle and started and risk > most:
            riskiest, most = idle[0], risk
    return tuple(cell for cell in riskiest.missing if cell not in waiting) if riskiest else ()


def _prior_order(space: SearchSpace, students: tuple[str, ...]) -> list[str]:
    """Return the arms by the mean of their priors over some students, the best first; ties in the grid's order."""
    scores = space.prior_scores[:, [space.students.index(student) for student in students]]
    means = scores.sum(axis=(0, 1))
    return [space.arms[index] for index in sorted(range(len(space.arms)), key=lambda index: -round(means[index], 9))]
