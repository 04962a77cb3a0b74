"""AutoIF's thresholds, which the paper, its code and the port to 2412.11231 set differently."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Threshold:
    """A threshold that is passed from `value` on, or only above it."""

    value: float
    inclusive: bool

    def passes(self, measured: float) -> bool:
        """Whether the measured share or score passes."""
        return measured >= self.value if self.inclusive else measured > self.value


def above(value: float) -> Threshold:
    """Passed by what is greater."""
    return Threshold(value, inclusive=False)


def at_least(value: float) -> Threshold:
    """Passed by what is greater or equal."""
    return Threshold(value, inclusive=True)


@dataclass(frozen=True)
class Thresholds:
    """Which functions, cases and responses are kept.

    `functions` and `cases` are the least numbers of distinct ones before cross-validation. The bars of a case, a
    function and a response are for shares of agreements; `chosen` is the share that makes a response the better one
    of a pair. `score` is for the mean of the judge's scores, integers from `min_score` to 10.
    """

    functions: int
    cases: int
    case: Threshold
    function: Threshold
    response: Threshold
    chosen: Threshold
    score: Threshold
    min_score: int


THRESHOLDS = MappingProxyType(
    {
        "paper": Thresholds(1, 1, above(0.5), above(0.5), above(0.5), above(0.5), at_least(8), min_score=1),
        "code": Thresholds(3, 10, above(0), at_least(0.8), above(0), at_least(0.5), above(8), min_score=0),
        "port": Thresholds(1, 1, above(0), at_least(0.8), at_least(0), at_least(0.5), at_least(0), min_score=0),
    }
)
"""`paper` 2406.13542, `code` its official code, `port` 2412.11231's code: no check of responses, no judge."""
PAPER_THRESHOLDS = THRESHOLDS["paper"]
