"""The report's facts on the claims of a study, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["supported", "contradicted", "not decided"]


@dataclass(frozen=True, slots=True)
class ClaimVerdict:
    """What our numbers and the published ones say of a claim.

    `difference` is the mean over `pairs`, of which `agree` agree, with its 95 % interval; `over` says of what the test
    takes a sample (tasks or pairs). `planned` are the pairs of the finished study. `published_verdict` is empty
    without published numbers.
    """

    claim: str
    paper: str
    verdict: Verdict
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    over: str
    agree: int
    pairs: int
    planned: int
    published_verdict: Verdict | Literal[""]
    published_difference: float | None
    published_low: float | None
    published_high: float | None
    published_p: float | None
    published_agree: int
    published_pairs: int
