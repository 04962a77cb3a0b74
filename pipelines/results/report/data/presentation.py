"""What the study file says about the report's layouts and claims, and the places of the grid, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pipelines.study.spec.presentation.claims import Claim
from pipelines.study.spec.presentation.layouts import Layout, NumberPattern

RHO = "rho "
"""What the name of a metric's correlation starts with."""


class Origin(NamedTuple):
    """The parts of an evolver's name in the report: the union, the evolution's name, and the model."""

    set: str
    method: str
    evolver: str


class DecodingParts(NamedTuple):
    """The decoding of which a variant is one, and the variant's temperature and top-p as texts."""

    sweep: str
    temperature: str
    top_p: str


@dataclass(frozen=True, slots=True)
class PlannedPlace:
    """A place of the grid, by the columns of results.csv without the metric. A data set has no benchmark.

    `missing` says why it has no numbers yet; empty if it may have some.
    """

    names: Mapping[str, str]
    missing: str


@dataclass(frozen=True, slots=True)
class MetricCorrelation:
    """Spearman's rho of a metric of data sets with the performance of one student that learned them.

    The interval is None if it is undefined.
    """

    metric: str
    student: str
    recipe: str
    seeds: str
    selection: str
    rho: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Presentation:
    """The study's layouts and claims, and what they need of the study. `families` are those of models by their name."""

    layouts: tuple[Layout, ...] = ()
    claims: tuple[Claim, ...] = ()
    planned: tuple[PlannedPlace, ...] = ()
    origins: Mapping[str, Origin] = field(default_factory=dict[str, Origin])
    decodings: Mapping[str, DecodingParts] = field(default_factory=dict[str, DecodingParts])
    families: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def correlated(self) -> list[str]:
        """The metrics whose correlation a layout or claim names."""
        named = (name for pattern in self.patterns for name in pattern.metric if name.startswith(RHO))
        return [name.removeprefix(RHO) for name in dict.fromkeys(named)]

    @property
    def patterns(self) -> list[NumberPattern]:
        """The patterns of all layouts and claims."""
        named = [pattern for entry in (*self.layouts, *self.claims) for pattern in entry.only]
        return [*named, *(side for claim in self.claims for side in (claim.left, claim.right))]
