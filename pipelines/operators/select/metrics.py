"""The values of the metrics that pairs are selected by."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.operators.select.car import car
from pipelines.study.spec.scoring import Mode
from pipelines.study.spec.selection import METRICS, Metric

if TYPE_CHECKING:
    from pipelines.rows.types import ResponseRow


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pair that may be chosen, the rows that measure it, by the kinds of their steps, and the study's seed.

    `beta` and `mode` are CAR's, `least` is the least reward in the set.
    """

    pair: ResponseRow
    measured: Mapping[str, Any]
    seed: int
    beta: float = 1.0
    mode: Mode = "raw"
    least: float = 0.0


def metric_value(metric: Metric, candidate: Candidate) -> float:
    """The value of a metric for a candidate, whose `measured` has the rows that the metric needs."""
    if computed := _COMPUTED.get(metric):
        return computed(candidate)
    spec = METRICS[metric]
    return float(getattr(candidate.measured[spec.needs[0]], spec.column))


def _words(candidate: Candidate) -> float:
    """The words of the instruction, without its input."""
    return float(len(candidate.pair.instruction.split()))


def _car(candidate: Candidate) -> float:
    reward, scores = candidate.measured["reward"], candidate.measured["score"]
    return car(reward.reward, scores.loss_conditional, candidate.beta, candidate.mode, candidate.least)


def _draw(candidate: Candidate) -> float:
    """A number in [0, 1) that depends on the row and the seed alone."""
    return int(hashlib.sha256(f"{candidate.seed} {candidate.pair.id}".encode()).hexdigest()[:13], 16) / 16**13


_COMPUTED: Mapping[Metric, Callable[[Candidate], float]] = {"car": _car, "words": _words, "random": _draw}
