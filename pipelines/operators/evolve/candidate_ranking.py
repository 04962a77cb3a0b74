"""Scores methods of evolution and selects the one to continue with (2406.00770, section 3.3, and the authors' code)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from pipelines.operators.evolve.failure_detector import UNREADABLE, failure_class
from pipelines.study.spec.instructions.evolution import Optimization, Variant


@dataclass(frozen=True, slots=True)
class DevResult:
    """One evolution on the dev set: the evolved instruction (None if unreadable) and the response to it."""

    evolved: str | None
    response: str = ""


@dataclass(frozen=True, slots=True)
class CandidateScore:
    """How a method performs on the dev set: the number of trials, the failures by class, and the authors' score."""

    trials: int
    failures: Counter[str]
    score: float

    @property
    def failure_rate(self) -> float:
        """The share of evolutions that failed; 1 if there were no trials."""
        return self.failures.total() / self.trials if self.trials else 1.0


def measure(trials: Sequence[DevResult], variant: Variant) -> CandidateScore:
    """Return a method's failures by class and its score.

    The score is the success rate times the mean response length over the mean instruction length (both in characters).
    It is 0 if no evolution could be read.
    """
    classes = (UNREADABLE if one.evolved is None else failure_class(one.response, variant) for one in trials)
    failures = Counter(name for name in classes if name)
    read = [one for one in trials if one.evolved]
    if not read:
        return CandidateScore(len(trials), failures, 0.0)
    ratio = fmean(len(one.response) for one in read) / fmean(len(one.evolved or "") for one in read)
    return CandidateScore(len(trials), failures, (1 - failures.total() / len(trials)) * ratio)


def select_best(candidates: Sequence[CandidateScore], current: CandidateScore, variant: Variant) -> int | None:
    """Return the index of the candidate that replaces the current method, or None if the current method is kept.

    `paper`: the candidate with the lowest failure rate, if that is below the current method's; ties go to the earlier
    candidate. `authors`: the candidate with the highest score, among those whose failure rate is not higher and whose
    score is not lower than the current method's.
    """
    if variant == "paper":
        rates = [one.failure_rate for one in candidates]
        lowest = min(range(len(rates)), key=rates.__getitem__, default=None)
        return lowest if lowest is not None and rates[lowest] < current.failure_rate else None
    for index in sorted(range(len(candidates)), key=lambda index: -candidates[index].score):
        one = candidates[index]
        if one.failure_rate <= current.failure_rate and one.score >= current.score:
            return index
    return None


def published_calls(optimization: Optimization) -> int:
    """Return the number of calls of an optimization as the paper counts them: T ((m + 1) |D| 2 + B l + 2), Table 11.

    The m analyses of a step count as one call with m samples, and so do its m new methods.
    """
    measured = (optimization.candidates + 1) * optimization.dev * 2
    return optimization.steps * (measured + optimization.batch * optimization.rounds + 2)
