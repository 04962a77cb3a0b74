"""Which data sets of a study are united, and the places of the unions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from pipelines.study.sparse.places import SetPlace, part_places
from pipelines.study.spec.common.sets import UnitedSet
from pipelines.study.spec.study import Study

_GROUPED = ("seeds", "method", "evolver", "round", "teacher", "decoding", "answer_seed")
_OF_EVOLUTIONS = ("method", "evolver")


@dataclass(frozen=True, slots=True)
class PlannedUnion:
    """A union, the place of its data set, and those of its parts in the order of the grid: at least two."""

    spec: UnitedSet
    place: SetPlace
    parts: tuple[SetPlace, ...]


def planned_unions(study: Study) -> list[PlannedUnion]:
    """Return the unions of a study, in the order of the file and then of the grid."""
    places = [*part_places(study)] if study.sets else []
    return [union for spec in study.sets for union in _unions_of(spec, places)]


def parts_of_unions(unions: Iterable[PlannedUnion]) -> dict[SetPlace, bool]:
    """Return the places of all parts of unions, and whether students are also trained on each alone."""
    found: dict[SetPlace, bool] = {}
    for union in unions:
        for part in union.parts:
            found[part] = found.get(part, True) and union.spec.parts
    return found


def set_places(study: Study) -> Iterator[SetPlace]:
    """Yield the places of all data sets, in the order of the grid: unions come last."""
    yield from part_places(study)
    yield from (union.place for union in planned_unions(study))


def _unions_of(spec: UnitedSet, places: Sequence[SetPlace]) -> Iterator[PlannedUnion]:
    """Yield the union of each group of places that differ in the united coordinates only.

    Un-evolved seeds, if a union over rounds has them, belong to the groups of all methods and evolvers.
    """
    united, position = spec.union.values, {place: number for number, place in enumerate(places)}
    evolved = [place for place in places if _is_part(place, spec) and not _is_shared(place, spec)]
    shared = [place for place in places if _is_part(place, spec) and _is_shared(place, spec)]
    groups: dict[tuple[object, ...], list[SetPlace]] = {}
    for place in evolved:
        groups.setdefault(_group(place, [name for name in _GROUPED if name not in united]), []).append(place)
    for group in groups.values():
        names = [name for name in _GROUPED if name not in united and name not in _OF_EVOLUTIONS]
        parts = [place for place in shared if _group(place, names) == _group(group[0], names)] + group
        if len(parts) > 1:
            ordered = tuple(sorted(parts, key=position.__getitem__))
            yield PlannedUnion(spec, _place(spec, group[0], ordered), ordered)


def _is_part(place: SetPlace, spec: UnitedSet) -> bool:
    return all(
        wanted is None or any(value in wanted for value in place.values(name))
        for name, wanted in spec.union.values.items()
        if not (name in _OF_EVOLUTIONS and _is_shared(place, spec))
    )


def _is_shared(place: SetPlace, spec: UnitedSet) -> bool:
    return place.round == 0 and "round" in spec.union.values


def _group(place: SetPlace, names: Sequence[str]) -> tuple[object, ...]:
    return tuple(getattr(place, name) for name in names)


def _place(spec: UnitedSet, one: SetPlace, parts: Sequence[SetPlace]) -> SetPlace:
    """Return the place of a union. Of united coordinates, its name is shown, or for a round the last one."""
    united = spec.union.values
    return replace(
        one,
        seeds=spec.name if "seeds" in united else one.seeds,
        method="" if "method" in united else one.method,
        evolver="" if "evolver" in united else one.evolver,
        round=max(place.round for place in parts),
        teacher=spec.name if "teacher" in united else one.teacher,
        decoding=spec.name if "decoding" in united else one.decoding,
        union=spec.name,
        united=frozenset(united),
    )
