"""Formats AutoIF's rows for `evolgrid show`."""

from __future__ import annotations

import json

from pipelines.cli.views.request import Facts, conversation_facts
from pipelines.rows.types import CheckedRow, FormatRow, PairedRow, VerifiedRow
from pipelines.study.graph.steps.step import Step


def format_facts(row: FormatRow, step: Step) -> Facts:
    """Yield a format instruction and the reply that it was parsed from."""
    yield "instruction", row.instruction
    yield "outcome", row.outcome
    if row.raw:
        yield "reply", row.raw


def verified_facts(row: VerifiedRow, step: Step) -> Facts:
    """Yield a format instruction, the functions that check it, and the verification of these functions."""
    yield "instruction", row.instruction
    for source, accuracy in zip(row.functions, row.accuracies, strict=True):
        yield "function", f"agrees with {100 * accuracy:.0f} % of {len(row.cases)} cases\n{source}"
    for case in row.cases:
        response, label = json.loads(case)
        yield "case", f"{json.dumps(label)}: {response}"
    for text, relation in zip(row.translations, row.relations, strict=True):
        yield "checks", f"{text} ({relation})"


def paired_facts(row: PairedRow, step: Step) -> Facts:
    """Yield a query, in its conversation, and the format instruction for its answer."""
    yield from conversation_facts(row)
    yield "query", row.before
    yield "its seed", row.seed_id
    yield "under", row.constraint


def checked_facts(row: CheckedRow, step: Step) -> Facts:
    """Yield the results of an answer's check."""
    yield "functions", f"{100 * row.pass_rate:.0f} % accept the answer"
    for reply, outcome in zip(row.raw, row.outcomes, strict=True):
        yield "judged", f"{outcome}: {reply}"
    yield "score", f"{row.judged:g} of 10"
