"""Average performance, and how often a smaller teacher yields the better student (2411.07133)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean


@dataclass(frozen=True, slots=True)
class Teacher:
    """A teacher model, its family, and its size in billions of parameters."""

    name: str
    family: str
    size: float


@dataclass(frozen=True, slots=True)
class Paradox:
    """Two teachers of a family: the smaller one's student was better for `smaller_wins` of `bases` base models."""

    smaller: str
    larger: str
    smaller_wins: int
    bases: int


def average_performance(*benchmarks: float) -> float:
    """Return the mean of scores in percent (2411.07133: AlpacaEval 2's length-controlled win rate, Arena-Hard)."""
    return fmean(benchmarks)


def paradoxes(teachers: Iterable[Teacher], performance: Mapping[tuple[str, str], float]) -> list[Paradox]:
    """Compare every two teachers of one family and different size, by `performance[base, teacher]`.

    A base model counts if both teachers' students were measured. A tie is not a win of the smaller teacher.
    """
    bases = list(dict.fromkeys(base for base, _ in performance))
    found: list[Paradox] = []
    for one, other in combinations(sorted(teachers, key=lambda teacher: teacher.size), 2):
        if one.family != other.family or one.size == other.size:
            continue
        pairs = [(performance.get((base, one.name)), performance.get((base, other.name))) for base in bases]
        known = [(small, large) for small, large in pairs if small is not None and large is not None]
        found.append(Paradox(one.name, other.name, sum(small > large for small, large in known), len(known)))
    return found
