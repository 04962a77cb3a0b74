"""Which pairs go into training: the top share of a set by one metric (2412.11231, Table 5)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence

from pipelines.rows import PairRow, Rejection, ResponseRow, ScoreRow, row_id
from pipelines.study.spec import Selection

Value = Callable[[ResponseRow], float | None]


def choose(
    pairs: Sequence[ResponseRow], scores: Sequence[ScoreRow], selection: Selection, seed: int, key: str
) -> tuple[list[PairRow], list[Rejection]]:
    """The chosen pairs in file order, and the others with a reason.

    `floor(keep * pairs)` are kept, at least one; ties go to the earlier seed. A truncated answer and a pair without
    a score are never chosen.
    """
    value = _metric(selection, {score.parent_id: score for score in scores}, seed)
    valued = [(value(pair), pair) for pair in pairs]
    known = [(number, pair) for number, pair in valued if number is not None and pair.finish_reason != "length"]
    sign = -1 if selection.order == "high" else 1
    ranked = sorted(known, key=lambda entry: (sign * entry[0], entry[1].index))
    count = max(1, math.floor(selection.keep * len(pairs)))
    kept = {pair.id: number for number, pair in ranked[:count]}
    chosen = [_pair(pair, kept[pair.id], key) for pair in pairs if pair.id in kept]
    return chosen, [_left_out(pair, number, key) for number, pair in valued if pair.id not in kept]


def _metric(selection: Selection, scores: Mapping[str, ScoreRow], seed: int) -> Value:
    if selection.by == "random":
        return lambda pair: _draw(pair.id, seed)
    if selection.by == "length":
        return lambda pair: float(len(pair.instruction.split()))
    return lambda pair: getattr(scores[pair.id], selection.by) if pair.id in scores else None


def _draw(row: str, seed: int) -> float:
    """A number in [0, 1) that depends on the row and the seed alone."""
    return int(hashlib.sha256(f"{seed} {row}".encode()).hexdigest()[:13], 16) / 16**13


def _pair(pair: ResponseRow, number: float, key: str) -> PairRow:
    return PairRow(
        row_id(pair.id, key), pair.id, pair.seed_id, pair.index, pair.instruction, pair.input, pair.response, number
    )


def _left_out(pair: ResponseRow, number: float | None, key: str) -> Rejection:
    truncated = pair.finish_reason == "length"
    reason = "truncated" if truncated else "no_score" if number is None else "not_selected"
    return Rejection(row_id(pair.id, key), pair.id, pair.seed_id, pair.index, "rejected", reason, "", "")
