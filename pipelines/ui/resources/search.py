"""The search of a study: what it has trained and skipped so far, at which risk, and each decision with its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pipelines.results.report.collect.search import summarize_search
from pipelines.results.report.data.search import SearchSummary
from pipelines.store.studies.search_log import SearchDecision
from pipelines.ui.reading.parameters import Parameters
from pipelines.ui.reading.reader import StoreReader, StudyState


def search_state(reader: StoreReader, state: StudyState, parameters: Parameters) -> dict[str, Any]:
    """Return the search as the report has it, and what each decision was made from.

    `settings` is None if the study has no search, and `found` is None before the first decision.
    """
    search = state.graph.record.search
    made = reader.decisions(state) if search else []
    return {
        "running": state.running,
        "settings": search.model_dump() if search else None,
        "found": _found(summarize_search(search, made), made) if search and made else None,
    }


def _found(summary: SearchSummary, made: Sequence[SearchDecision]) -> dict[str, Any]:
    return {
        "finished": summary.finished,
        "cells": [cell._asdict() for cell in summary.cells],
        "groups": [
            group._asdict() | {"trained": risk.trained}
            for group, risk in zip(summary.groups, made[-1].groups, strict=True)
        ],
        "rungs": [rung._asdict() | {"percent": rung.percent} for rung in summary.rungs],
        "priors": [prior._asdict() for prior in summary.priors],
        "decisions": [*_decisions(summary, made)],
        "partial_cost": summary.partial_cost,
    }


def _decisions(summary: SearchSummary, made: Sequence[SearchDecision]) -> Iterator[dict[str, Any]]:
    """Yield the decisions, each with the scores and failures that were not known to the one before it."""
    known: set[str] = set()
    for step, decision in zip(summary.decisions, made, strict=True):
        scores = (*decision.scores, *decision.partial)
        yield step._asdict() | {
            "room": decision.room,
            "scores": [one.model_dump() for one in scores if one.model_dump_json() not in known],
            "failed": [one.text for one in decision.failed if one.model_dump_json() not in known],
        }
        known = {one.model_dump_json() for one in (*scores, *decision.failed)}
