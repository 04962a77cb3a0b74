"""Formats an answer to a benchmark item for `evolgrid show`: the prompt, the answer, and its grade."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pipelines.rows.types import AnswerRow


def answer_facts(row: AnswerRow, judged: bool) -> Iterator[tuple[str, object]]:
    """Yield the facts about an answer. If it was judged, yield only the judge's part."""
    if not judged:
        yield "item", f"{row.item} ({row.task})" if row.task else row.item
        yield from json.loads(row.messages or "[]")
        for text in row.answers:
            yield "answer", text
        if row.reference:
            yield "reference", row.reference
        if row.finish_reason != "stop":
            yield "outcome", "cut off at the token limit"
    if row.other:
        yield "against", row.other
    for text in row.raw:
        yield "judge", text
    if words := ", ".join(word for word in row.words if word):
        yield "read as", words
    measured = zip(row.measures, row.values, row.weights, strict=True)
    if measures := ", ".join(
        f"{name} {value:g}" + (f" (x {weight:g})" if weight != 1 else "") for name, value, weight in measured
    ):
        yield "measures", measures
