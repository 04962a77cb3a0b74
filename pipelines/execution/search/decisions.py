"""Makes the decisions of a search and carries them out. The same store gives the same decisions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from pipelines.execution.search.scores import mean_scores, partial_scores
from pipelines.search.finals import SeededCell, final_cells, unseparated
from pipelines.search.risk import GroupRisk
from pipelines.search.rungs import NextTrainings, Verdict, next_step
from pipelines.search.space import Cell, Evidence, SearchSpace
from pipelines.store.store import Store
from pipelines.store.studies.search_log import (
    CellValue,
    PartialValue,
    RungVerdict,
    SearchDecision,
    StudentsRisk,
    TrainedCell,
    UntrainedArm,
    load_decisions,
    save_decision,
)
from pipelines.study.search_grid import SearchGrid, Values


class Laboratory(Protocol):
    """Carries out decisions, and measures."""

    room: int

    def probe(self) -> Mapping[str, Values]:
        """Have all arms answer the first seeds; return the priors' values."""
        ...

    def train(self, cells: Sequence[SeededCell]) -> None:
        """Train and evaluate some cells. Finished ones are not repeated, and failed trainings are not an error."""
        ...

    def scores(self) -> Mapping[SeededCell, float]:
        """Return the scores of all cells that are trained and evaluated."""
        ...

    def p_value(self, students: Sequence[str]) -> Callable[[str, str], float | None]:
        """Return the paired test of two arms for some students."""
        ...


class SearchRun:
    """One run of a search: it carries out the decisions of earlier runs first, and then makes new ones.

    Every decision is made after all cells of the former ones were trained or have failed, so that it does not depend on
    the order in which trainings end, or on when a run was killed.
    """

    def __init__(self, grid: SearchGrid, store: Store, lab: Laboratory) -> None:
        self.grid, self.store, self.lab = grid, store, lab
        self.made = load_decisions(store, grid.study.study, grid.digest)
        self.number = len(load_decisions(store, grid.study.study))

    def run(self, notify: Callable[[SearchDecision], None]) -> None:
        """Run the search to its end. `notify` gets every new decision before it is carried out."""
        space = self.grid.with_priors(self._priors())
        self.lab.train(_asked(self.made))
        while (decision := self._next(space)) is not None:
            save_decision(self.store, self.grid.study.study, decision)
            self.made.append(decision)
            self.number += 1
            notify(decision)
            if decision.reason == "stop":
                return
            self.lab.train(_asked([decision]))

    def _priors(self) -> Mapping[str, Values]:
        """Return the priors of the earlier decisions, or else those of a probe."""
        if not self.made:
            return self.lab.probe()
        recorded = self.made[0].priors
        return {name: {Cell(one.student, one.arm): one.value for one in values} for name, values in recorded.items()}

    def _next(self, space: SearchSpace) -> SearchDecision | None:
        """Return the next decision; None if it is that which ended the search."""
        scores = self.lab.scores()
        lost = [place for place in _asked(self.made) if place not in scores]
        evidence = _evidence(scores, lost)
        found = next_step(space, evidence, self.grid.settings, self.lab.room, self._verdicts())
        cells, reason = self.grid.seeded(found.decision.cells, found.share), found.decision.reason
        if not cells:
            finals = final_cells(found.decision.groups, self.grid.settings)
            cells = tuple(place for place in finals if place in self.grid.trainings and place not in {*scores, *lost})
            reason = "finals" if cells else "stop"
        decision = self._decision(found, cells, reason, scores, lost)
        ended = self.made and self.made[-1].reason == reason == "stop"
        return None if ended and _same_scores(self.made[-1], scores) else decision

    def _verdicts(self) -> tuple[Verdict, ...]:
        """Return what the last decision says of shares: each of them is judged once."""
        found = self.made[-1].rungs if self.made else ()
        return tuple(Verdict(one.share, one.cells, one.rho, one.trusted) for one in found)

    def _decision(
        self,
        found: NextTrainings,
        cells: Sequence[SeededCell],
        reason: str,
        scores: Mapping[SeededCell, float],
        lost: Sequence[SeededCell],
    ) -> SearchDecision:
        trust = self.grid.settings.rungs.trust
        return SearchDecision.model_validate(
            {
                "number": self.number,
                "search": self.grid.digest,
                "reason": reason,
                "cells": _places(cells),
                "room": self.lab.room,
                "scores": _values(mean_scores(scores)),
                "failed": _places(lost),
                "priors": {name: _values(values) for name, values in found.space.priors.items()},
                "groups": tuple(self._group(group, reason == "stop") for group in found.decision.groups),
                "partial": _partial_values(scores),
                "rungs": tuple(RungVerdict(**verdict._asdict(), trust=trust) for verdict in found.verdicts),
            }
        )

    def _group(self, group: GroupRisk, at_end: bool) -> StudentsRisk:
        arms = [arm for arm, _ in group.trained]
        return StudentsRisk(
            students=group.students,
            risk=group.risk,
            trained=group.trained,
            untrained=tuple(
                UntrainedArm(
                    arm=one.arm,
                    expected=one.expected if math.isfinite(one.expected) else None,
                    probability=one.probability,
                )
                for one in group.candidates
            ),
            inseparable=unseparated(arms, self.lab.p_value(group.students)) if at_end else (),
        )


def is_settled(grid: SearchGrid, store: Store, scores: Mapping[SeededCell, float]) -> bool:
    """Return whether a search has stopped, all that it asked for is trained, and nothing was measured since."""
    made = load_decisions(store, grid.study.study, grid.digest)
    if not made or made[-1].reason != "stop" or any(place not in scores for place in _asked(made)):
        return False
    return _same_scores(made[-1], scores)


def _same_scores(decision: SearchDecision, scores: Mapping[SeededCell, float]) -> bool:
    """Return whether a decision was made from these scores."""
    return (decision.scores, decision.partial) == (_values(mean_scores(scores)), _partial_values(scores))


def _evidence(scores: Mapping[SeededCell, float], lost: Iterable[SeededCell]) -> Evidence:
    """Return what is known from the scores of cells, and from those that were asked for and have none."""
    partial, failed = partial_scores(scores), set[Cell]()
    for place in lost:
        if place.share < 1:
            partial.setdefault(place.share, {})[place.cell] = math.nan
        elif place.seed == 0:
            failed.add(place.cell)
    return Evidence(mean_scores(scores), frozenset(failed), partial=partial)


def _asked(decisions: Iterable[SearchDecision]) -> tuple[SeededCell, ...]:
    """Return the cells that decisions have asked for, in order."""
    cells = (SeededCell(Cell(one.student, one.arm), one.seed, one.share) for made in decisions for one in made.cells)
    return tuple(dict.fromkeys(cells))


def _places(cells: Iterable[SeededCell]) -> tuple[TrainedCell, ...]:
    return tuple(
        TrainedCell(student=place.cell.student, arm=place.cell.arm, seed=place.seed, share=place.share)
        for place in cells
    )


def _values(values: Values) -> tuple[CellValue, ...]:
    return tuple(CellValue(student=cell.student, arm=cell.arm, value=value) for cell, value in sorted(values.items()))


def _partial_values(scores: Mapping[SeededCell, float]) -> tuple[PartialValue, ...]:
    return tuple(
        PartialValue(student=cell.student, arm=cell.arm, value=value, share=share)
        for share, values in partial_scores(scores).items()
        for cell, value in values.items()
    )
