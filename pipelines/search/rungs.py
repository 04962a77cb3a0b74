"""Rungs: scores of partial trainings as a prior, once they are known to rank cells as full trainings do.

A share of the rows is measured on cells that are trained in full. If it is trusted, all cells of undecided students are
trained on this share; if not, the next larger share is measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from pipelines.search.decide import Decision, next_cells
from pipelines.search.ranks import Floats
from pipelines.search.risk import GroupRisk
from pipelines.search.space import Cell, Evidence, SearchSettings, SearchSpace
from pipelines.search.utility import utilities

DIGITS = 6  # of a rank correlation, so that rounding on another machine does not decide


class Verdict(NamedTuple):
    """Whether a share of the rows is trusted: Spearman's rank correlation of its scores on `cells` cells.

    The correlation is None if all scores of a kind are equal; such a share is not trusted.
    """

    share: float
    cells: int
    rho: float | None
    trusted: bool


@dataclass(frozen=True, slots=True)
class NextTrainings:
    """What to do next: a decision whose cells are trained on a `share` of their rows, and the verdicts so far.

    `space` has the priors that the decision was made from: those of the search, and the trusted share's.
    """

    decision: Decision
    share: float
    verdicts: tuple[Verdict, ...]
    space: SearchSpace


def next_step(
    space: SearchSpace, evidence: Evidence, settings: SearchSettings, room: int = 1, verdicts: Sequence[Verdict] = ()
) -> NextTrainings:
    """Return what to train next: partial trainings if they are wanted now, or else up to `room` cells in full.

    `verdicts` are those of earlier steps: a share is judged once. Partial trainings are only wanted after the start and
    while a risk is too high. They come all at once, because each of them is needed.
    """
    judged = judge(space, evidence, settings, verdicts)
    space = with_rung(space, evidence, settings, judged)
    found = next_cells(space, evidence, settings, room)
    share = active_share(settings, judged)
    if found.reason == "risk" and share is not None:
        trusted = any(verdict.trusted for verdict in judged)
        wanted = _all_cells(space, found.groups, settings) if trusted else _measured_cells(space, evidence, share)
        known = evidence.failed | {*evidence.partial.get(share, {})}
        cells = tuple(cell for cell in wanted if cell not in known)
        if cells and (trusted or len(wanted) >= settings.rungs.cells):
            return NextTrainings(Decision(cells, "rung", found.groups), share, judged, space)
    return NextTrainings(found, 1.0, judged, space)


def active_share(settings: SearchSettings, verdicts: Sequence[Verdict]) -> float | None:
    """Return the share that is trusted or is to be measured next; None if none is left."""
    refused = {verdict.share for verdict in verdicts if not verdict.trusted}
    return next((share for share in settings.rungs.shares if share not in refused), None)


def judge(
    space: SearchSpace, evidence: Evidence, settings: SearchSettings, verdicts: Sequence[Verdict] = ()
) -> tuple[Verdict, ...]:
    """Return the verdicts with those of further shares that are measured on enough cells now."""
    share = active_share(settings, verdicts)
    if share is None or any(verdict.share == share for verdict in verdicts):
        return tuple(verdicts)
    partial = evidence.partial.get(share, {})
    cells = [cell for cell in _measured_cells(space, evidence, share) if cell in partial]
    if len(cells) < settings.rungs.cells:
        return tuple(verdicts)
    full, part = (
        _centred(utilities(space, Evidence({cell: scores[cell] for cell in cells}), settings))
        for scores in (evidence.scores, partial)
    )
    rho = _rank_correlation(full, part)
    verdict = Verdict(share, len(cells), rho, rho is not None and rho >= settings.rungs.trust)
    return judge(space, evidence, settings, (*verdicts, verdict))


def with_rung(
    space: SearchSpace, evidence: Evidence, settings: SearchSettings, verdicts: Sequence[Verdict]
) -> SearchSpace:
    """Return the space with the scores of the trusted share as a further prior; the same if none is trusted.

    They count for the students all of whose cells have one: a cell without a value would count as average, although
    nothing is known of it.
    """
    share = next((verdict.share for verdict in verdicts if verdict.trusted), None)
    if share is None:
        return space
    scores, sign = evidence.partial.get(share, {}), 1 if settings.higher_is_better else -1
    known = {*scores} | evidence.failed | space.absent
    complete = {student for student in space.students if all(Cell(student, arm) in known for arm in space.arms)}
    prior = {cell: sign * score for cell, score in scores.items() if cell.student in complete and math.isfinite(score)}
    return replace(space, priors={**space.priors, rung_name(share): prior})


def rung_name(share: float) -> str:
    """Return the name of the prior that a share's scores are."""
    return f"{100 * share:.4g} % of the rows"


def _measured_cells(space: SearchSpace, evidence: Evidence, share: float) -> list[Cell]:
    """Return the cells on which a share is measured: those trained in full whose partial training has not failed.

    A student's only cell is not among them: it has no rank.
    """
    partial = evidence.partial.get(share, {})
    trained = [cell for cell in space.cells if math.isfinite(evidence.scores.get(cell, math.nan))]
    usable = [cell for cell in trained if math.isfinite(partial.get(cell, 0.0))]
    several = {cell.student for cell in usable if sum(other.student == cell.student for other in usable) > 1}
    return [cell for cell in usable if cell.student in several]


def _all_cells(space: SearchSpace, groups: Sequence[GroupRisk], settings: SearchSettings) -> list[Cell]:
    """Return the cells of the students whose risk is too high."""
    undecided = {student for group in groups if group.risk > settings.risk for student in group.students}
    return [cell for cell in space.cells if cell.student in undecided]


def _centred(utility: Floats) -> Floats:
    """Return the finite utilities, each less the mean of its student's."""
    rows = [row[np.isfinite(row)] for row in utility]
    return np.concatenate([row - row.mean() for row in rows if row.size]).round(9)


def _rank_correlation(full: Floats, part: Floats) -> float | None:
    """Return Spearman's rank correlation; None if all values of one side are equal."""
    from scipy import stats  # slow to import

    if np.ptp(full) == 0 or np.ptp(part) == 0:
        return None
    found: Any = stats.spearmanr(full, part)
    return round(float(found.statistic), DIGITS)
