"""How good a method is, and which one goes on (2406.00770, section 3.3, and the authors' code)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from pipelines.operators.evolve.failure_detector import UNREADABLE, failure_class
from pipelines.study.spec.evolution import Optimization, Variant


@dataclass(frozen=True, slots=True)
class DevResult:
    """One evolution on the dev set: the instruction that came out (None if unreadable) and the response to it."""

    evolved: str | None
    response: str = ""


@dataclass(frozen=True, slots=True)
class CandidateScore:
    """A method on the dev set: how many evolutions failed and how, and the authors' score."""

    trials: int
    failures: Counter[str]
    score: float

    @property
    def failure_rate(self) -> float:
        """Failed evolutions of all; 1 if nothing could be measured."""
        return self.failures.total() / self.trials if self.trials else 1.0


def measure(trials: Sequence[DevResult], variant: Variant) -> CandidateScore:
    """Failures by class, and success rate times mean response length over mean instruction length (in characters)."""
    classes = (UNREADABLE if one.evolved is None else failure_class(one.response, variant) for one in trials)
    failures = Counter(name for name in classes if name)
    read = [one for one in trials if one.evolved]
    if not read:
        return CandidateScore(len(trials), failures, 0.0)
    ratio = fmean(len(one.response) for one in read) / fmean(len(one.evolved or "") for one in read)
    return CandidateScore(len(trials), failures, (1 - failures.total() / len(trials)) * ratio)


def select_best(candidates: Sequence[CandidateScore], current: CandidateScore, variant: Variant) -> int | None:
    """The index of the candidate that replaces the current method; None if that stays.

    `paper`: the lowest failure rate, the earlier one of equals, if it is below the current method's. `authors`: the
    highest score among those that neither succeed less often nor score less than the current method.
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
    """The calls of a whole optimization as the paper counts them: T ((m + 1) |D| 2 + B l + 2), its Table 11.

    The analyses of a step are one call with m draws, and so are its m new methods.
    """
    measured = (optimization.candidates + 1) * optimization.dev * 2
    return optimization.steps * (measured + optimization.batch * optimization.rounds + 2)
