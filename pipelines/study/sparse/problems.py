"""Checks the patterns of a study's `only` and `except`: each names values of the study, and matches something."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipelines.errors import nearest
from pipelines.study.file.yaml_tree import Loc
from pipelines.study.sparse.filter import GridFilter, MatchCounts
from pipelines.study.sparse.places import NO_STUDENT, cell_places, part_places
from pipelines.study.sparse.unions import planned_unions, set_places
from pipelines.study.spec.common.patterns import CELL_COORDINATES, SET_COORDINATES, Pattern
from pipelines.study.spec.study import Study

Values = Mapping[str, list[str | int]]


def pattern_problems(study: Study) -> Iterator[tuple[Loc, str, str | None]]:
    """Yield the place of each mistake in the study file, what is wrong, and what to do."""
    if not study.is_sparse:
        return
    known, unknown = known_values(study), set[Loc]()
    for loc, pattern in _patterns(study):
        for place, message, remedy in unknown_values(pattern, known):
            unknown.add(loc)
            yield (*loc, *place), message, remedy
    grid = GridFilter(study)
    taken = [found for place in set_places(study) if (found := grid.take(place)) is not None]
    for loc, counts in zip(dict(_patterns(study)), [*grid.counts["only"], *grid.counts["except"]], strict=True):
        if loc not in unknown and not _matches_anything(study, counts):
            yield loc, f"the pattern {counts.pattern.text} matches nothing", "No part of the grid has all its values."
    bases = any(grid.base_benchmarks(student) for student in study.students)
    if not unknown and not taken and not bases:
        block = "except" if study.only is None else "only"
        yield (block,), "nothing of the grid is left", "Remove or change a pattern."


def _patterns(study: Study) -> Iterator[tuple[Loc, Pattern]]:
    yield from ((("only", index), pattern) for index, pattern in enumerate(study.only or ()))
    yield from ((("except", index), pattern) for index, pattern in enumerate(study.excluded))


def known_values(study: Study) -> Values:
    """Return the values of every coordinate that a pattern may name, in the order of the grid."""
    sets, cells = [*set_places(study)], [*cell_places(study)]
    found: dict[str, list[str | int | None]] = {
        name: [value for place in sets for value in place.values(name)] for name in SET_COORDINATES
    }
    trained = [cell for cell in cells if cell.student != NO_STUDENT]
    found["selection"], found["seed"] = [cell.selection for cell in cells], [cell.seed for cell in trained]
    found["student"] = [student.model for student in study.students]
    found["recipe"] = [student.recipe for student in study.students]
    found["benchmark"] = [bench.name for bench in study.benchmarks]
    found["family"] = [study.models[name].family for name in study.responses.teachers if name in study.models]
    return {
        name: [value for value in dict.fromkeys(values) if value not in ("", None)] for name, values in found.items()
    }


def unknown_values(pattern: Pattern, known: Values) -> Iterator[tuple[Loc, str, str | None]]:
    """Yield the place in a pattern of each value that is not among the known ones, what is wrong, and what to do.

    Coordinates without known values, such as metrics, are not checked.
    """
    for name, values in pattern.coordinates.items():
        for index, value in enumerate(values):
            if name in known and value not in known[name]:
                remedy = nearest(str(value), [str(one) for one in known[name]])
                message = f"no {name.replace('_', ' ')} of this study is '{value}'"
                yield (name, index), message, remedy or f"The study has no value of '{name}'."


def _matches_anything(study: Study, counts: MatchCounts) -> bool:
    named = counts.pattern.coordinates.keys()
    if named <= {"student", "recipe", "benchmark"}:
        return True  # at the least an untuned base model
    if "benchmark" in named:
        return counts.evaluations > 0
    return (counts.cells if any(name in named for name in CELL_COORDINATES) else counts.sets) > 0


def union_problems(study: Study) -> Iterator[tuple[Loc, str, str | None]]:
    """Yield the place of each mistake in the unions of a study, what is wrong, and what to do."""
    places = [*part_places(study)] if study.sets else []
    taken = {*study.models, *(given.name for given in study.responses.given), *(seeds.name for seeds in study.seeds)}
    taken |= {evolution.name for evolution in study.evolution}
    united = {union.spec.name for union in planned_unions(study)}
    for number, spec in enumerate(study.sets):
        loc, wrong = ("sets", number), False
        if spec.name in taken or spec.name in [other.name for other in study.sets[:number]]:
            yield (*loc, "name"), f"'{spec.name}' is the name of something else in the study", "Give another name."
        for name, values in spec.union.values.items():
            key = name if name in ("seeds", "method") else f"{name}s"
            known = [*dict.fromkeys(str(value) for place in places for value in place.values(name) if value != "")]
            for index, value in enumerate(values or ()):
                if str(value) not in known:
                    wrong, remedy = True, nearest(str(value), known)
                    yield (*loc, "union", key, index), f"no {name} of this study is '{value}'", remedy
        if not wrong and spec.name not in united:
            yield (*loc, "union"), "unites nothing: it needs at least two data sets", "Name more values, or 'all'."
