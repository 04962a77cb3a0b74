"""The metrics by which pairs are selected: what each is made of, and which end of it is the better one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pipelines.score.car import Mode, car

if TYPE_CHECKING:
    from pipelines.rows import ResponseRow

Metric = Literal[
    "ifd",
    "ic_ifd",
    "ppl_instruction",
    "ppl_answer",
    "ppl_conditional",
    "reward",
    "car",
    "distance",
    "repeats",
    "length",
    "words",
    "random",
]
End = Literal["high", "low"]


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


@dataclass(frozen=True, slots=True)
class Measure:
    """The better end of a metric, the kinds of the steps whose rows it is made of, and how."""

    better: End
    needs: tuple[str, ...]
    value: Callable[[Candidate], float]


def _column(kind: str, name: str, better: End) -> Measure:
    return Measure(better, (kind,), lambda candidate: float(getattr(candidate.measured[kind], name)))


def _words(candidate: Candidate) -> float:
    """The words of the instruction, without its input."""
    return float(len(candidate.pair.instruction.split()))


def _car(candidate: Candidate) -> float:
    reward, scores = candidate.measured["reward"], candidate.measured["score"]
    return car(reward.reward, scores.loss_conditional, candidate.beta, candidate.mode, candidate.least)


def _draw(candidate: Candidate) -> float:
    """A number in [0, 1) that depends on the row and the seed alone."""
    return int(hashlib.sha256(f"{candidate.seed} {candidate.pair.id}".encode()).hexdigest()[:13], 16) / 16**13


# the ends are those of 2412.11231, Table 5, where it has the metric
METRICS: Mapping[Metric, Measure] = {
    "ifd": _column("score", "ifd", "high"),
    "ic_ifd": _column("score", "ic_ifd", "high"),
    "ppl_instruction": _column("score", "ppl_instruction", "low"),
    "ppl_answer": _column("score", "ppl_answer", "low"),
    "ppl_conditional": _column("score", "ppl_conditional", "low"),
    "reward": _column("reward", "reward", "high"),
    "car": Measure("high", ("reward", "score"), _car),
    "distance": _column("diversity", "distance", "high"),
    "repeats": _column("diversity", "repeats", "low"),
    "length": _column("score", "tokens_instruction", "low"),
    "words": Measure("low", (), _words),
    "random": Measure("high", (), _draw),
}
