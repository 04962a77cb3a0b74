"""The places of a study's grid by coordinates, without building any step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pipelines.study.spec.common.basics import seed_values, several_seeds
from pipelines.study.spec.pairs.responses import DecodingVariant, Given
from pipelines.study.spec.study import Study

NO_STUDENT = -1
GIVEN_DECODING = "given"


@dataclass(frozen=True, slots=True)
class SetPlace:
    """The coordinates of a data set. Round 0 has no method and no evolver (empty texts).

    `decoding` is the variant's name and `sweep` that of its decoding. Given answers have no seed. `union` is the name
    of a union, and `united` are the coordinates that it has no single value of.
    """

    seeds: str
    method: str
    evolver: str
    round: int
    teacher: str
    decoding: str
    sweep: str
    answer_seed: int | None
    union: str = ""
    united: frozenset[str] = frozenset()

    def values(self, coordinate: str) -> tuple[str | int | None, ...]:
        """Return the values of a coordinate that a pattern may name."""
        if coordinate in self.united:
            return ()
        if coordinate == "set":
            return (self.union,)
        if coordinate == "decoding":
            return self.decoding, self.sweep
        return (getattr(self, coordinate),)


class CellPlace(NamedTuple):
    """The coordinates of a training among those of one data set. `student` is its number in the study, from 0.

    In a study without students, it is that of a selection alone, and `student` is `NO_STUDENT`.
    """

    selection: str
    student: int
    seed: int


class Answering(NamedTuple):
    """One way in which one teacher answers, with one seed. `sweep` is the name of its decoding in the study."""

    teacher: str
    variant: DecodingVariant
    sweep: str
    seed: int

    @property
    def reported_seed(self) -> int | None:
        """The seed; None if the variant has only one."""
        return self.seed if several_seeds(self.variant.seeds) else None


def answerings(study: Study) -> Iterator[Answering]:
    """Yield every way in which teachers answer each set of instructions, in the order of the grid."""
    for teacher in study.responses.teachers:
        for decoding in study.responses.decodings:
            for variant in decoding.variants():
                for seed in seed_values(decoding.seeds, study.seed):
                    yield Answering(teacher, variant, decoding.name, seed)


def cell_places(study: Study) -> Iterator[CellPlace]:
    """Yield the places of all trainings on one data set, in the order of the grid.

    In a study without students, yield those of the selections that the study file names.
    """
    named = study.selection if "selection" in study.model_fields_set else []
    yield from (CellPlace(selection.name, NO_STUDENT, study.seed) for selection in named if not study.students)
    for selection in study.selection:
        for index, student in enumerate(study.students):
            for seed in seed_values(student.seeds, study.seed):
                yield CellPlace(selection.name, index, seed)


def part_places(study: Study) -> Iterator[SetPlace]:
    """Yield the places of all data sets but unions, in the order of the grid."""
    answered = [*answerings(study)]
    for seeds in study.seeds:
        for given in study.responses.given:
            if given.seeds in (None, seeds.name):
                yield given_place(seeds.name, given)
        origins = [("", "", 0)] if study.responses.answer_seeds else []
        for evolution in study.evolution:
            numbers = range(1, evolution.rounds + 1)
            origins += [(evolution.name, evolver, number) for evolver in evolution.evolvers for number in numbers]
        for origin in origins:
            yield from (place_of(seeds.name, *origin, one) for one in answered)


def given_place(seeds: str, given: Given) -> SetPlace:
    """Return the place of the data set of existing answers to a seed set."""
    return SetPlace(seeds, "", "", 0, given.name, GIVEN_DECODING, GIVEN_DECODING, None)


def place_of(seeds: str, method: str, evolver: str, number: int, answering: Answering) -> SetPlace:
    """Return the place of a data set: a round's instructions, answered in one way. `number` is the round."""
    teacher, variant, sweep, seed = answering
    return SetPlace(seeds, method, evolver, number, teacher, variant.name, sweep, seed)
