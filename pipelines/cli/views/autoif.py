"""Formats AutoIF's rows for `evolgrid show`."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pipelines.rows.types import CheckedRow, FormatRow, PairedRow, Row, VerifiedRow

Facts = Iterator[tuple[str, object]]


def autoif_facts(row: Row) -> Facts:
    """Yield the names and values of a row's facts, or nothing if the row is not from an AutoIF step."""
    if isinstance(row, FormatRow):
        yield "instruction", row.instruction
        yield "outcome", row.outcome
        if row.raw:
            yield "reply", row.raw
    elif isinstance(row, VerifiedRow):
        yield from _verified(row)
    elif isinstance(row, PairedRow):
        yield "query", row.before
        yield "its seed", row.seed_id
        yield "under", row.constraint
    elif isinstance(row, CheckedRow):
        yield "functions", f"{100 * row.pass_rate:.0f} % accept the answer"
        for reply, outcome in zip(row.raw, row.outcomes, strict=True):
            yield "judged", f"{outcome}: {reply}"
        yield "score", f"{row.judged:g} of 10"


def _verified(row: VerifiedRow) -> Facts:
    yield "instruction", row.instruction
    for source, accuracy in zip(row.functions, row.accuracies, strict=True):
        yield "function", f"agrees with {100 * accuracy:.0f} % of {len(row.cases)} cases\n{source}"
    for case in row.cases:
        response, label = json.loads(case)
        yield "case", f"{json.dumps(label)}: {response}"
    for text, relation in zip(row.translations, row.relations, strict=True):
        yield "checks", f"{text} ({relation})"
