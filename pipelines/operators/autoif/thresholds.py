"""AutoIF's thresholds, which differ between the paper, its code and the port in 2412.11231's code."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Threshold:
    """A lower bound: a value passes if it is greater than `value` or, with `inclusive`, equal to it."""

    value: float
    inclusive: bool

    def passes(self, measured: float) -> bool:
        """Return whether the measured share or score passes."""
        return measured >= self.value if self.inclusive else measured > self.value


def above(value: float) -> Threshold:
    """Return an exclusive threshold."""
    return Threshold(value, inclusive=False)


def at_least(value: float) -> Threshold:
    """Return an inclusive threshold."""
    return Threshold(value, inclusive=True)


@dataclass(frozen=True)
class Thresholds:
    """The thresholds for functions, cases and responses.

    `functions` and `cases` are the minimum numbers of distinct ones before cross-validation. `case`, `function` and
    `response` are thresholds for shares of agreement. `chosen` is the share from which a response is the chosen one of
    a pair. `score` is the threshold for the mean of the judge's scores, integers from `min_score` to 10.
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
