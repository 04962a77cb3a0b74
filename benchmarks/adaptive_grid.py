"""Search a published grid instead of training all of it: `python -m benchmarks.adaptive_grid [--plot FILE]`.

19 teachers and 5 bases (2411.07133, Table 6). A search measures a cell's published score with noise. It finds a good
teacher for a base if the published score of the one that it chooses is within 5 % of the best. The prior has the rank
correlation that was published for CAR. Left out: for each base, the model's assumptions are chosen on searches of the
other four bases, and judged on this one. Rungs: the table has no partial trainings; their scores have an assumed rank
correlation with the published ones. `--plot` also draws shares and qualities of all strategies (SVG or PNG).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import numpy as np

from benchmarks.support.lab import figure
from benchmarks.support.published_grid import CAR_RHO, PublishedGrid, read_grid
from benchmarks.support.search_plot import draw
from pipelines.search.replay import replay
from pipelines.search.space import ASSUMPTIONS, Assumptions, Cell, RungSettings, SearchSettings

REPETITIONS = 120
NOISE = 0.5  # of the unpaired binomial error
GOOD = 0.95  # of the best score
PART = 0.1  # of the rows, in partial trainings
CHOICES = (
    ASSUMPTIONS,
    replace(ASSUMPTIONS, arm_spread=0.3),
    replace(ASSUMPTIONS, residual_freedom=1e9),
    replace(ASSUMPTIONS, weight=0.2),
)
ROW = "{:<38}{:>7}{:>10}{:>7}{:>7}"


@dataclass(frozen=True)
class Case:
    """How a grid is searched: the prior's rank correlation (None: CAR's), noise, risk, cells at a time, bases."""

    rho: float | None = None
    shuffled: bool = False
    noise: float = NOISE
    risk: float = 0.1
    room: int = 1
    rows: tuple[int, ...] = (0, 1, 2, 3, 4)
    assumed: Assumptions = ASSUMPTIONS
    rung: float | None = None  # the rank correlation of partial trainings; None: without them


class Outcome(NamedTuple):
    """The share of trainings, and by base the shares of good choices and of wrong stops. All are means.

    A partial training counts as its share of the rows.
    """

    share: float
    within: list[float]
    wrong: list[float]


def search_grid(grid: PublishedGrid, case: Case, repetitions: int) -> Outcome:
    """Search the grid several times, each time with other noise and another prior. All cases have the same draws."""
    rng, part_rng = np.random.default_rng(0), np.random.default_rng(1)
    runs = [_search_once(grid, case, rng, part_rng) for _ in range(repetitions)]
    shares, within, wrong = zip(*runs, strict=True)
    return Outcome(float(np.mean(shares)), np.mean(within, axis=0).tolist(), np.mean(wrong, axis=0).tolist())


def _search_once(
    grid: PublishedGrid, case: Case, rng: np.random.Generator, part_rng: np.random.Generator
) -> tuple[float, list[bool], list[bool]]:
    measured = grid.measure(case.noise, rng)
    rho = tuple(CAR_RHO[base] if case.rho is None else case.rho for base in grid.bases)
    space = grid.space(case.rows, grid.prior(rho, rng, case.shuffled))

    def place(cell: Cell) -> tuple[int, int]:
        return grid.bases.index(cell.student), grid.teachers.index(cell.arm)

    partial = None if case.rung is None else grid.partial_scores(case.rung, part_rng)
    rungs = RungSettings() if partial is None else RungSettings((PART,))
    settings = SearchSettings(risk=case.risk, assumed=case.assumed, rungs=rungs)
    found = replay(
        space,
        settings,
        lambda cell: float(measured[place(cell)]),
        case.room,
        None if partial is None else lambda cell, share: float(partial[place(cell)]),
    )
    within, wrong = list[bool](), list[bool]()
    for row, group in zip(case.rows, found.groups, strict=True):
        chosen = grid.scores[row, grid.teachers.index(group.best or "")]
        left = [grid.scores[row, grid.teachers.index(chance.arm)] for chance in group.candidates]
        within.append(bool(chosen >= GOOD * grid.scores[row].max()))
        wrong.append(bool(max(left, default=0.0) * GOOD > chosen))
    return found.cost / len(space.cells), within, wrong


def left_out(grid: PublishedGrid, repetitions: int) -> list[float]:
    """Return for each base how often the choice is good, if the assumptions are chosen without this base.

    They are those with the smallest share of trainings on the other four bases, among those whose choices are good
    often enough.
    """
    found, judged = list[float](), dict[Assumptions, Outcome]()
    for row in range(len(grid.bases)):
        others = tuple(other for other in range(len(grid.bases)) if other != row)
        tried = [(search_grid(grid, Case(rows=others, assumed=one), repetitions // 4), one) for one in CHOICES]
        good = [each for each in tried if np.mean(each[0].within) >= 0.9] or tried
        chosen = min(good, key=lambda each: each[0].share)[1]
        if chosen not in judged:
            judged[chosen] = search_grid(grid, Case(assumed=chosen), repetitions)
        found.append(judged[chosen].within[row])
    return found


def cases() -> Iterator[tuple[str, Case]]:
    """Yield the cases of the table by name."""
    yield "CAR's prior", Case()
    yield "the same, five cells at a time", Case(room=5)
    yield "the same, risk 0.05", Case(risk=0.05)
    yield "the same, risk 0.2", Case(risk=0.2)
    yield "the same, half the noise", Case(noise=NOISE / 2)
    yield "the same, twice the noise", Case(noise=NOISE * 2)
    yield "a prior with rho 0.70", Case(rho=0.70)
    yield "a prior with rho 0.57", Case(rho=0.57)
    yield "a shuffled prior", Case(shuffled=True)
    yield "CAR's prior, rungs with rho 0.95", Case(rung=0.95)
    yield "CAR's prior, rungs with rho 0.60", Case(rung=0.60)
    yield "a prior with rho 0.57, rungs with 0.95", Case(rho=0.57, rung=0.95)
    yield "a prior with rho 0.57, rungs with 0.60", Case(rho=0.57, rung=0.60)


def at_default_risk() -> list[str]:
    """Return the names of the cases that stop at a risk of 0.1: the worst of them is the figure of calibration."""
    return [name for name, case in cases() if case.risk == Case.risk]


def full_grid(grid: PublishedGrid, repetitions: int) -> list[float]:
    """Return for each base how often the best measured teacher of the whole grid is good."""
    rng = np.random.default_rng(0)
    bests = np.array([grid.measure(NOISE, rng).argmax(axis=1) for _ in range(repetitions)])
    chosen = np.take_along_axis(grid.scores, bests.T, axis=1)  # [bases, repetitions]
    return (chosen >= GOOD * grid.scores.max(axis=1, keepdims=True)).mean(axis=1).tolist()


def main() -> None:
    """Print a table and the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    parser.add_argument("--plot", type=Path, help="file of the plot")
    given = parser.parse_args()
    grid = read_grid()
    print(ROW.format("search", "share", "within 5%", "worst", "wrong"))
    whole = full_grid(grid, given.repetitions)
    print(ROW.format("the whole grid", "1.000", f"{np.mean(whole):.3f}", f"{min(whole):.2f}", "-"))
    outcomes = dict[str, Outcome]()
    for name, case in cases():
        one = outcomes[name] = search_grid(grid, case, given.repetitions)
        numbers = (
            f"{one.share:.3f}",
            f"{np.mean(one.within):.3f}",
            f"{min(one.within):.2f}",
            f"{np.mean(one.wrong):.3f}",
        )
        print(ROW.format(name, *numbers), flush=True)
    held_out = left_out(grid, given.repetitions)
    print(ROW.format("assumptions from the other bases", "-", f"{np.mean(held_out):.3f}", f"{min(held_out):.2f}", "-"))
    good, shuffled = outcomes["CAR's prior"], outcomes["a shuffled prior"]
    figure("adaptive_grid.share", good.share, "<=0.36", 3)
    figure("adaptive_grid.within_5pct", fmean(good.within), ">=0.90", 3)
    figure("adaptive_grid.within_5pct_shuffled", fmean(shuffled.within), ">=0.90", 3)
    figure("adaptive_grid.within_5pct_left_out", fmean(held_out), ">=0.90", 3)
    figure("adaptive_grid.calibration", max(fmean(outcomes[name].wrong) for name in at_default_risk()), "<=0.13", 3)
    if given.plot:
        points = {name: (one.share, fmean(one.within)) for name, one in outcomes.items()}
        draw(given.plot, {"the whole grid": (1.0, fmean(whole)), **points})


if __name__ == "__main__":
    main()
