"""The grid of a study as the search sees it: students, arms, and the trainings of each cell."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from pipelines.search.finals import SeededCell
from pipelines.search.space import Cell, RungSettings, SearchSettings, SearchSpace
from pipelines.study.graph.steps import grid as steps
from pipelines.study.graph.steps.fingerprint import fingerprint
from pipelines.study.graph.steps.grid import InstructionDataset
from pipelines.study.spec.common.basics import seed_values
from pipelines.study.spec.search import Search, SearchAxis
from pipelines.study.spec.study import Study

SEEDS_ARM = "seeds"  # the evolver of instructions that nobody evolved
Values = Mapping[Cell, float]

_COORDINATES: Mapping[SearchAxis, Callable[[steps.Cell, InstructionDataset], str]] = {
    "teacher": lambda cell, pairs: pairs.teacher,
    "evolver": lambda cell, pairs: pairs.evolved_by or SEEDS_ARM,
    "round": lambda cell, pairs: f"round {pairs.round}",
    "selection": lambda cell, pairs: cell.selection,
    "decoding": lambda cell, pairs: pairs.decoding,
    "recipe": lambda cell, pairs: cell.student.recipe,
}


@dataclass(frozen=True)
class SearchGrid:
    """The trainings of a study's grid by cell, number of the training seed, and share of the rows."""

    study: Study
    search: Search
    grid: steps.Grid

    @cached_property
    def trainings(self) -> Mapping[SeededCell, tuple[steps.Cell, ...]]:
        """The evaluated trainings of each cell, by the number of their seed and the share of their rows."""
        found: defaultdict[SeededCell, list[steps.Cell]] = defaultdict(list)
        for one in (*self.grid.cells, *self.grid.partial):
            if one.pairs is not None and one.evaluations:
                found[SeededCell(self._cell(one, one.pairs), self._seed_number(one), one.share)].append(one)
        return {place: tuple(cells) for place, cells in found.items()}

    @cached_property
    def space(self) -> SearchSpace:
        """The space of the search, without priors."""
        cells = [place.cell for place in self.trainings if place.seed == 0]
        students, arms = (tuple(dict.fromkeys(names)) for names in zip(*cells, strict=True))
        every = {Cell(student, arm) for student in students for arm in arms}
        return SearchSpace(students, arms, absent=frozenset(every - {*cells}))

    @property
    def settings(self) -> SearchSettings:
        """The settings of the search; its finals have as many seeds as any student."""
        search, rungs = self.search, self.search.rungs
        most = max((place.seed for place in self.trainings), default=0) + 1
        return SearchSettings(
            epsilon=search.epsilon,
            risk=search.risk,
            per=search.per,
            start=search.start,
            seeds=min(most, search.seeds or most),
            higher_is_better=search.better == "high",
            scale=search.scale,
            rungs=RungSettings(tuple(rungs.shares), rungs.trust, rungs.cells) if rungs else RungSettings(),
        )

    @cached_property
    def digest(self) -> str:
        """A digest of what decisions are made from beside scores: the settings, and the trainings of all cells."""
        cells = {
            " | ".join(map(str, (*place.cell, place.seed, place.share))): [one.train.key for one in found if one.train]
            for place, found in self.trainings.items()
        }
        return fingerprint({"search": self.search.model_dump(mode="json"), "cells": cells})

    def with_priors(self, priors: Mapping[str, Values]) -> SearchSpace:
        """Return the space with these priors."""
        return replace(self.space, priors=priors)

    def base_of(self, student: str) -> str:
        """Return the base model of a student of the space."""
        return next(found[0].student.model for place, found in self.trainings.items() if place.cell.student == student)

    def data_sets(self, cell: Cell) -> tuple[InstructionDataset, ...]:
        """Return the data sets that a cell's students are trained on, each once."""
        found = (one.pairs for one in self.trainings.get(SeededCell(cell, 0), ()))
        return tuple(dict.fromkeys(pairs for pairs in found if pairs))

    def seeded(self, cells: Iterable[Cell], share: float = 1.0) -> tuple[SeededCell, ...]:
        """Return cells with their first seed, trained on a share of their rows."""
        return tuple(SeededCell(cell, 0, share) for cell in cells)

    def goals(self, cells: Iterable[SeededCell]) -> set[str]:
        """Return the keys of the steps that train and evaluate some cells, and that measure their data sets.

        The data sets of partial trainings are not measured.
        """
        found = [one for cell in cells for one in self.trainings.get(cell, ())]
        wanted = [step for one in found for step in (one.train, *(last for _, last in one.evaluations)) if step]
        wanted += [step for one in found if one.pairs and one.share == 1 for step in one.pairs.steps]
        return {step.key for step in wanted}

    def base_goals(self) -> set[str]:
        """Return the keys of the steps that evaluate the untuned base models."""
        return {step.key for one in self.grid.cells if one.train is None for _, step in one.evaluations}

    def probe_goals(self) -> set[str]:
        """Return the keys of the steps that a probe runs: the answers of all arms, and what the priors need."""
        sets = dict.fromkeys(pairs for cell in self.space.cells for pairs in self.data_sets(cell))
        rewards = {step for pairs in sets for _, step in pairs.rewards}
        scores = {scored.step for pairs in sets for scored in pairs.score_steps}
        measures = {step for pairs in sets for step in (pairs.responses, *pairs.measures)}
        return {step.key for step in measures | rewards | scores if step.params.row_wise}

    def _cell(self, one: steps.Cell, pairs: InstructionDataset) -> Cell:
        recipe = () if "recipe" in self.search.over else (one.student.recipe,)
        arm = " / ".join(_COORDINATES[axis](one, pairs) for axis in self.search.over)
        return Cell(" ".join((one.student.model, *recipe)), arm)

    def _seed_number(self, one: steps.Cell) -> int:
        seeds = seed_values(one.student.seeds, self.study.seed)
        return 0 if one.seed is None else seeds.index(one.seed)


def search_grid(study: Study, grid: steps.Grid) -> SearchGrid | None:
    """Return the grid as the study's search sees it; None if the study has no search, or no evaluated trainings."""
    found = SearchGrid(study, study.search, grid) if study.search else None
    return found if found and found.trainings else None
