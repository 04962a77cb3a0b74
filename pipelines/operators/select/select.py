"""Selects the pairs to train on: the best of a data set by one metric, within bounds (2412.11231, Table 5)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence

from pipelines.errors import InputError
from pipelines.operators.select.metrics import PairMeasurements, metric_value, rounded_value
from pipelines.operators.select.min_distance import too_close
from pipelines.rows.ids import row_id
from pipelines.rows.types import DiversityRow, PairRow, Rejection, ResponseRow, RewardRow, Row
from pipelines.study.spec.pairs.selection import METRICS, Selection

ROUNDING = 1e-9  # a share of 0.29 of 100 is 29, although 0.29 * 100 < 29 in floating point
Measurements = Mapping[str, Mapping[str, Row]]
"""The rows that measure pairs, by kind of step and then by pair id."""


def select_pairs(
    pairs: Sequence[ResponseRow],
    measurements: Measurements,
    selection: Selection,
    seed: int,
    key: str,
    limit: int | None = None,
    keep_truncated: bool = False,
    share: float = 1.0,
) -> tuple[list[PairRow], list[Rejection]]:
    """Return the selected pairs in file order, and the others with the reason for their rejection.

    A share is rounded down, but at least one pair is selected if any is eligible, and at most `limit`. Values are
    those of `rounded_value`. Ties go to the earlier seed, and then to the lower id. A pair without a value of the
    metric is never selected, and a truncated answer only with `keep_truncated`. With `selection.apart`, pairs are
    selected in the order of their rank. A pair is skipped if the squared L2 distance of its instruction's embedding to
    that of a selected pair is less than `selection.apart`. For a partial training, only a `share` of the selected pairs
    is kept (`first_part`).
    """
    measured = _measurements_of_pairs(pairs, measurements, selection, seed)
    known = {row: rounded_value(selection.by, metric_value(selection.by, each)) for row, each in measured.items()}
    values = {row: value for row, value in known.items() if math.isfinite(value)}

    def reason(pair: ResponseRow, value: float | None) -> str:
        if pair.finish_reason == "length" and not keep_truncated:
            return "truncated"
        return _rejection_reason(value, selection)

    flaws = {pair.id: flaw for pair in pairs if (flaw := reason(pair, values.get(pair.id)))}
    sign = -1 if (selection.order or METRICS[selection.by].better) == "high" else 1
    ranked = sorted(
        (pair for pair in pairs if pair.id not in flaws), key=lambda pair: (sign * values[pair.id], pair.index, pair.id)
    )
    count = min(_selected_count(selection, len(pairs), len(ranked)), len(pairs) if limit is None else limit)
    if selection.apart is not None:
        flaws |= dict.fromkeys(_too_close_ids(ranked, measurements["diversity"], selection.apart, count), "too_near")
    eligible = [measured[pair.id] for pair in ranked if pair.id not in flaws]
    taken = {eligible[index].pair.id for index in _chosen_indices(selection.rule, eligible, count)}
    if share < 1:
        part = first_part([pair for pair in pairs if pair.id in taken], share, seed)
        flaws |= dict.fromkeys(taken - part, "beyond_share")
        taken = part
    chosen = [_pair_row(pair, values[pair.id], key) for pair in pairs if pair.id in taken]
    rest = [pair for pair in pairs if pair.id not in taken]
    return chosen, [_rejection(pair, flaws.get(pair.id, "not_selected"), key) for pair in rest]


def first_part(pairs: Sequence[ResponseRow], share: float, seed: int) -> set[str]:
    """Return the ids of a share of some pairs: those of the seeds with the lowest hashes; at least one pair.

    So all data sets keep answers to the same seeds, and a smaller share is a part of a larger one.
    """

    def place(pair: ResponseRow) -> tuple[str, str]:
        return hashlib.sha256(f"{seed} {pair.seed_id}".encode()).hexdigest(), pair.id

    count = max(1, math.floor(share * len(pairs) + ROUNDING))
    return {pair.id for pair in sorted(pairs, key=place)[:count]}


def take_best(ranked: Sequence[PairMeasurements], count: int) -> Sequence[int]:
    """Return the indices of the first pairs."""
    return range(min(count, len(ranked)))


Chooser = Callable[[Sequence[PairMeasurements], int], Sequence[int]]
CHOOSERS: dict[str, Chooser] = {"best": take_best}
"""The function of each of `RULES`: it returns the indices of at most this number of the ranked pairs, best first."""


def _chosen_indices(rule: str, ranked: Sequence[PairMeasurements], count: int) -> set[int]:
    found = [*CHOOSERS[rule](ranked, count)]
    if len(found) > count or len({*found}) < len(found) or not {*found} <= {*range(len(ranked))}:
        message = f"the rule '{rule}' must choose up to {count} different indices below {len(ranked)}"
        raise InputError(f"{message}; here are {len(found)}, such as {found[:5]}")
    return {*found}


def _measurements_of_pairs(
    pairs: Sequence[ResponseRow], measurements: Measurements, selection: Selection, seed: int
) -> dict[str, PairMeasurements]:
    """Return what is known of each pair by its id, for all pairs that have every row that the selection needs."""
    found: dict[str, PairMeasurements] = {}
    min_reward = min(reward_values(measurements), default=0.0)
    for pair in pairs:
        rows = {kind: measurements[kind].get(pair.id) for kind in selection.needs}
        if None not in rows.values():
            found[pair.id] = PairMeasurements(pair, rows, seed, selection.beta, selection.mode, min_reward)
    return found


def reward_values(measurements: Measurements) -> list[float]:
    """Return all rewards among the measurements."""
    return [row.reward for row in measurements.get("reward", {}).values() if isinstance(row, RewardRow)]


def _rejection_reason(value: float | None, selection: Selection) -> str:
    """Return why a pair with this value of the metric cannot be selected; an empty string if it can."""
    if value is None:
        return "no_score"
    return "" if _is_within_bounds(value, selection) else "out_of_bounds"


def _is_within_bounds(value: float, bounds: Selection) -> bool:
    return (
        (bounds.above is None or value > bounds.above)
        and (bounds.below is None or value < bounds.below)
        and (bounds.at_most is None or value <= bounds.at_most)
    )


def _selected_count(selection: Selection, pairs: int, left: int) -> int:
    if selection.size is not None:
        return selection.size
    return max(1, math.floor(selection.keep * (left if selection.share_of == "left" else pairs) + ROUNDING))


def _too_close_ids(
    ranked: Sequence[ResponseRow], embeddings: Mapping[str, Row], min_distance: float, count: int
) -> list[str]:
    """Return the ids of the pairs that are too close to better ones, up to the last pair that is selected."""
    rows = [embeddings[pair.id] for pair in ranked]
    vectors = [row.vector for row in rows if isinstance(row, DiversityRow)]
    return [ranked[place].id for place in too_close(vectors, min_distance, count)]


def _pair_row(pair: ResponseRow, value: float, key: str) -> PairRow:
    lineage = pair.lineage(row_id(pair.id, key))
    return PairRow(
        **lineage,
        instruction=pair.instruction,
        input=pair.input,
        response=pair.response,
        score=value,
        system=pair.system,
        history=pair.history,
        thoughts=pair.thoughts,
        finish_reason=pair.finish_reason,
    )


def _rejection(pair: ResponseRow, reason: str, key: str) -> Rejection:
    lineage = pair.lineage(row_id(pair.id, key))
    return Rejection(**lineage, status="rejected", reason=reason, detail="", raw="")
