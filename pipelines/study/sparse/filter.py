"""Decides what of a study's grid is taken, by its `only` and `except`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipelines.study.sparse.places import NO_STUDENT, CellPlace, SetPlace, cell_places
from pipelines.study.spec.common.patterns import (
    CELL_COORDINATES,
    EVALUATION_COORDINATES,
    SET_COORDINATES,
    Pattern,
)
from pipelines.study.spec.study import Study
from pipelines.study.spec.training.recipes import Student

Taken = Mapping[CellPlace, tuple[str, ...]]
"""The trainings on a data set that are taken, with the benchmarks of each."""
_BASE_COORDINATES = ("student", "recipe", *EVALUATION_COORDINATES)


@dataclass(frozen=True, slots=True)
class Matcher:
    """A pattern, with the trainings and benchmarks of the study that it matches."""

    pattern: Pattern
    of_sets: Mapping[str, frozenset[str | int]]
    cells: frozenset[CellPlace]
    benchmarks: frozenset[str]
    names_cells: bool
    names_benchmarks: bool

    @property
    def names_only_sets(self) -> bool:
        """Whether it names coordinates of data sets only."""
        return not self.names_cells and not self.names_benchmarks

    def matches_set(self, place: SetPlace) -> bool:
        """Return whether the coordinates of data sets that it names match a data set."""
        return all(
            any(value in wanted for value in place.values(coordinate)) for coordinate, wanted in self.of_sets.items()
        )


@dataclass(slots=True)
class MatchCounts:
    """How many data sets, trainings and evaluations a pattern matches, whatever the other patterns say."""

    pattern: Pattern
    sets: int = 0
    cells: int = 0
    evaluations: int = 0


@dataclass
class GridFilter:
    """Says what of the grid of a study is taken, and counts what each pattern matches.

    What matches any pattern of `only` (everything without `only`) and no pattern of `except` is taken. A data set is
    also taken for each of its trainings that is, and a training for each of its evaluations. A pattern of `except`
    takes away data sets if it names only their coordinates, trainings if it names any of theirs, and evaluations if it
    names benchmarks.
    """

    study: Study
    only: Sequence[Matcher] | None = field(init=False)
    excluded: Sequence[Matcher] = field(init=False)
    counts: Mapping[str, Sequence[MatchCounts]] = field(init=False)

    def __post_init__(self) -> None:
        self._cells = tuple(cell_places(self.study))
        self._benchmarks = tuple(bench.name for bench in self.study.benchmarks)
        only, excluded = self.study.only, self.study.excluded
        self.only = None if only is None else [self._matcher(pattern) for pattern in only]
        self.excluded = [self._matcher(pattern) for pattern in excluded]
        self.counts = {"only": [*map(MatchCounts, only or ())], "except": [*map(MatchCounts, excluded)]}
        self._cached: dict[tuple[tuple[int, ...], tuple[int, ...]], Taken | None] = {}

    def take(self, place: SetPlace) -> Taken | None:
        """Return the trainings on a data set that are taken; None if the data set is left out. Count the matches."""
        only = tuple(number for number, one in enumerate(self.only or ()) if one.matches_set(place))
        excluded = tuple(number for number, one in enumerate(self.excluded) if one.matches_set(place))
        self._count("only", self.only or (), only)
        self._count("except", self.excluded, excluded)
        if (only, excluded) not in self._cached:
            self._cached[only, excluded] = self._take(
                None if self.only is None else [self.only[number] for number in only],
                [self.excluded[number] for number in excluded],
            )
        return self._cached[only, excluded]

    def base_benchmarks(self, student: Student) -> tuple[str, ...] | None:
        """Return the benchmarks of an untuned base model; None if it is left out.

        It has only the coordinates `student`, `recipe` and `benchmark`. For `only`, the other ones match anything. A
        pattern of `except` that names any of them does not match it.
        """
        only = None if self.only is None else [one for one in self.only if _matches_student(one.pattern, student)]
        excluded = [
            one
            for one in self.excluded
            if _matches_student(one.pattern, student) and one.pattern.coordinates.keys() <= {*_BASE_COORDINATES}
        ]
        if only == [] or any(not one.names_benchmarks for one in excluded):
            return None
        return tuple(name for name in self._benchmarks if _is_taken(name, only, excluded))

    def _take(self, only: Sequence[Matcher] | None, excluded: Sequence[Matcher]) -> Taken | None:
        """Return what is taken of a data set that these patterns match."""
        if any(one.names_only_sets for one in excluded):
            return None
        taken: dict[CellPlace, tuple[str, ...]] = {}
        for cell in self._cells:
            asked = None if only is None else [one for one in only if cell in one.cells]
            barred = [one for one in excluded if cell in one.cells]
            if asked == [] or any(not one.names_benchmarks for one in barred):
                continue
            found = tuple(name for name in self._benchmarks if _is_taken(name, asked, barred))
            if found or asked is None or any(not one.names_benchmarks for one in asked):
                taken[cell] = found
        asked_for = only is None or any(one.names_only_sets for one in only)
        return taken if taken or asked_for else None

    def _matcher(self, pattern: Pattern) -> Matcher:
        named = pattern.coordinates
        return Matcher(
            pattern,
            {name: frozenset(named[name]) for name in SET_COORDINATES if name in named},
            frozenset(cell for cell in self._cells if self._matches_cell(pattern, cell)),
            frozenset(name for name in self._benchmarks if not pattern.benchmark or name in pattern.benchmark),
            any(name in named for name in CELL_COORDINATES),
            any(name in named for name in EVALUATION_COORDINATES),
        )

    def _matches_cell(self, pattern: Pattern, cell: CellPlace) -> bool:
        if pattern.selection and cell.selection not in pattern.selection:
            return False
        if cell.student == NO_STUDENT:
            return not (pattern.student or pattern.recipe or pattern.seed)
        if pattern.seed and cell.seed not in pattern.seed:
            return False
        return _matches_student(pattern, self.study.students[cell.student])

    def _count(self, block: str, matchers: Sequence[Matcher], matching: Sequence[int]) -> None:
        for number in matching:
            counts, one = self.counts[block][number], matchers[number]
            counts.sets += 1
            counts.cells += len(one.cells)
            counts.evaluations += len(one.cells) * len(one.benchmarks)


def _matches_student(pattern: Pattern, student: Student) -> bool:
    return (not pattern.student or student.model in pattern.student) and (
        not pattern.recipe or student.recipe in pattern.recipe
    )


def _is_taken(benchmark: str, only: Sequence[Matcher] | None, excluded: Sequence[Matcher]) -> bool:
    return (only is None or any(benchmark in one.benchmarks for one in only)) and not any(
        benchmark in one.benchmarks for one in excluded
    )
