"""Values of the metrics by which pairs are selected."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.operators.select.car import car
from pipelines.study.spec.pairs.scoring import RewardMode
from pipelines.study.spec.pairs.selection import METRICS

if TYPE_CHECKING:
    from pipelines.rows.types import ResponseRow

SELECTION_DIGITS = 5  # significant ones; float32 has 7, of which sums over a text leave about 5


@dataclass(frozen=True, slots=True)
class PairMeasurements:
    """A candidate pair, the rows that measure it (by kind of step), and the study's seed.

    `beta` and `mode` are CAR's parameters; `min_reward` is the lowest reward in the data set.
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


def rounded_value(metric: str, value: float) -> float:
    """Return a value that a model measured, rounded to SELECTION_DIGITS. Other values and whole numbers are unchanged.

    Equal texts may be measured a little differently on a GPU, where rounding depends on what shares a batch. They are
    ties here, so that the choice between them is the same in every run.
    """
    if not METRICS[metric].needs or not math.isfinite(value) or value.is_integer():
        return value
    return float(f"{value:.{SELECTION_DIGITS}g}")


def _words(measurements: PairMeasurements) -> float:
    """Return the number of words of the instruction, without its input."""
    return float(len(measurements.pair.instruction.split()))


def _car(measurements: PairMeasurements) -> float:
    reward, scores = measurements.rows_by_kind["reward"], measurements.rows_by_kind["score"]
    return car(reward.reward, scores.loss_conditional, measurements.beta, measurements.mode, measurements.min_reward)


def _random_value(measurements: PairMeasurements) -> float:
    """Return a number in [0, 1) that depends only on the pair's id and the seed."""
    return int(hashlib.sha256(f"{measurements.seed} {measurements.pair.id}".encode()).hexdigest()[:13], 16) / 16**13


# functions for the metrics that are not stored as a column of a row
COMPUTED: dict[str, Callable[[PairMeasurements], float]] = {
    "car": _car,
    "words": _words,
    "random": _random_value,
}
