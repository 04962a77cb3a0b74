"""The values of the metrics that pairs are selected by."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.operators.select.car import car
from pipelines.study.spec.scoring import RewardMode
from pipelines.study.spec.selection import METRICS

if TYPE_CHECKING:
    from pipelines.rows.types import ResponseRow


@dataclass(frozen=True, slots=True)
class PairMeasurements:
    """A pair that may be chosen, the rows that measure it, by the kinds of their steps, and the study's seed.

    `beta` and `mode` are CAR's, `min_reward` is the least reward in the set.
    """

    pair: ResponseRow
    rows_by_kind: Mapping[str, Any]
    seed: int
    beta: float = 1.0
    mode: RewardMode = "raw"
    min_reward: float = 0.0


def metric_value(metric: str, measurements: PairMeasurements) -> float:
    """Return the value of a metric for a pair. `measurements` must have the rows that the metric needs."""
    spec = METRICS[metric]
    if not spec.column:
        return COMPUTED[metric](measurements)
    return float(getattr(measurements.rows_by_kind[spec.needs[0]], spec.column))


def _words(measurements: PairMeasurements) -> float:
    """The words of the instruction, without its input."""
    return float(len(measurements.pair.instruction.split()))


def _car(measurements: PairMeasurements) -> float:
    reward, scores = measurements.rows_by_kind["reward"], measurements.rows_by_kind["score"]
    return car(reward.reward, scores.loss_conditional, measurements.beta, measurements.mode, measurements.min_reward)


def _random_value(measurements: PairMeasurements) -> float:
    """A number in [0, 1) that depends on the row and the seed alone."""
    return int(hashlib.sha256(f"{measurements.seed} {measurements.pair.id}".encode()).hexdigest()[:13], 16) / 16**13


# the functions of the metrics that no row holds as a column
COMPUTED: dict[str, Callable[[PairMeasurements], float]] = {
    "car": _car,
    "words": _words,
    "random": _random_value,
}
