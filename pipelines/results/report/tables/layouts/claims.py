"""The claims of a study, tested on its own numbers and on the published ones."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipelines.results.report.data.report import ReportData
from pipelines.results.report.data.verdicts import ClaimVerdict, Verdict
from pipelines.results.report.tables.layouts.evidence import LEVEL, Evidence, NumberPair, weigh
from pipelines.results.report.tables.layouts.numbers import PlacedNumber, default_metrics, is_shown, placed_numbers
from pipelines.study.spec.presentation.claims import Claim
from pipelines.study.spec.presentation.layouts import COORDINATES, NumberPattern

Pair = tuple[PlacedNumber, PlacedNumber]
_FOLLOWS = {"teacher": ("family",), "decoding": ("temperature", "top_p")}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One of the comparisons of a claim, with the evidence of our numbers and of the published ones."""

    left: str
    right: str
    ours: Evidence
    published: Evidence


@dataclass(frozen=True, slots=True)
class JudgedClaim:
    """A claim with the evidence over all of its pairs, and that of each comparison if it has several.

    `planned` is the number of pairs that the finished study has.
    """

    claim: Claim
    planned: int
    ours: Evidence
    published: Evidence
    comparisons: tuple[Comparison, ...]

    @property
    def verdict(self) -> Verdict:
        """What our numbers say."""
        return self._verdict(self.ours, [one.ours for one in self.comparisons])

    @property
    def published_verdict(self) -> Verdict:
        """What the published numbers say by the same rule."""
        return self._verdict(self.published, [one.published for one in self.comparisons])

    def flat(self) -> ClaimVerdict:
        """Return the claim's row of claims.csv."""
        ours, published = self.ours, self.published
        return ClaimVerdict(
            self.claim.claim,
            self.claim.paper,
            self.verdict,
            *(ours.difference, ours.low, ours.high, ours.p, ours.over, ours.agree, ours.pairs),
            self.planned,
            self.published_verdict if published.pairs else "",
            *(published.difference, published.low, published.high, published.p, published.agree, published.pairs),
        )

    def _verdict(self, whole: Evidence, parts: Sequence[Evidence]) -> Verdict:
        if self.claim.test == "mean" or not parts:
            return whole.verdict()
        found = {part.verdict(LEVEL / len(parts)) for part in parts}
        return "supported" if "supported" in found else "contradicted" if found == {"contradicted"} else "not decided"


def judged_claims(data: ReportData) -> list[JudgedClaim]:
    """Return the claims of the study with their evidence, in the order of the file."""
    if not data.presentation.claims:
        return []
    numbers = placed_numbers(data)
    defaults = default_metrics(numbers)
    return [_judged(claim, numbers, defaults) for claim in data.presentation.claims]


def claimed_pairs(
    claim: Claim, numbers: Iterable[PlacedNumber], defaults: Mapping[str, Sequence[str]]
) -> list[list[Pair]]:
    """Return the pairs of each comparison of a claim, also those with numbers that are not there yet."""
    shown = [one for one in numbers if is_shown(claim.only, one, defaults)] if claim.only else [*numbers]
    chosen = bool(claim.only) and all(pattern.metric for pattern in claim.only)
    return [[*_pairs(claim, left, right, shown, {} if chosen else defaults)] for left, right in claim.sides]


def _pairs(
    claim: Claim,
    left: NumberPattern,
    right: NumberPattern,
    numbers: Sequence[PlacedNumber],
    defaults: Mapping[str, Sequence[str]],
) -> Iterator[Pair]:
    others: dict[tuple[str, ...], list[PlacedNumber]] = {}
    names = _shared_coordinates(claim)
    for one in numbers:
        if _is_side(right, one, defaults):
            others.setdefault(tuple(one.place[name] for name in names), []).append(one)
    for one in numbers:
        if _is_side(left, one, defaults):
            yield from ((one, other) for other in others.get(tuple(one.place[name] for name in names), ()))


def _is_side(side: NumberPattern, one: PlacedNumber, defaults: Mapping[str, Sequence[str]]) -> bool:
    return is_shown([side], one, defaults) if defaults else one.matches(side)


def _shared_coordinates(claim: Claim) -> tuple[str, ...]:
    if claim.over:
        return tuple(claim.over)
    following = {other for name in claim.named for other in _FOLLOWS.get(name, ())}
    return tuple(name for name in COORDINATES if name not in claim.named | following)


def _judged(claim: Claim, numbers: Sequence[PlacedNumber], defaults: Mapping[str, Sequence[str]]) -> JudgedClaim:
    by_comparison = claimed_pairs(claim, numbers, defaults)
    everything = [pair for pairs in by_comparison for pair in pairs]
    comparisons = [
        Comparison(left.text, right.text, weigh(_ours(pairs)), weigh(_published(pairs)))
        for (left, right), pairs in zip(claim.sides, by_comparison, strict=True)
    ]
    several = tuple(comparisons) if len(comparisons) > 1 else ()
    return JudgedClaim(claim, len(everything), weigh(_ours(everything)), weigh(_published(everything)), several)


def _ours(pairs: Iterable[Pair]) -> list[NumberPair]:
    return [
        NumberPair(left.value, right.value, left.runs, right.runs, _source(left.place, right.place))
        for left, right in pairs
        if left.value is not None and right.value is not None
    ]


def _published(pairs: Iterable[Pair]) -> list[NumberPair]:
    """Return the pairs of published numbers, each once, however many of our numbers belong to it."""
    known = [(left.published[0], right.published[0]) for left, right in pairs if left.published and right.published]
    found = {
        (left.line, right.line): NumberPair(
            left.value, right.value, source=_source(left.coordinates, right.coordinates)
        )
        for left, right in known
    }
    return [*found.values()]


def _source(left: Mapping[str, str], right: Mapping[str, str]) -> Hashable:
    """Return what two numbers share with those of other metrics of the same answers or rows."""
    return tuple(frozenset((name, value) for name, value in side.items() if name != "metric") for side in (left, right))
