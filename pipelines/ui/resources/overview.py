"""The studies of a store, and how far one is: steps by kind, rows, time, retries, what it has spent."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import Any

from pipelines.store.errors import CorruptStore
from pipelines.store.studies.graph_record import StepNode
from pipelines.store.studies.retry_log import load_retries
from pipelines.store.studies.run_record import load_record
from pipelines.store.studies.spending_log import load_spending
from pipelines.ui.reading.parameters import Parameters
from pipelines.ui.reading.reader import StoreReader, StudyState
from pipelines.ui.resources.steps import step_state

MIN_SECONDS_FOR_ETA = 5.0


def list_studies(reader: StoreReader) -> dict[str, Any]:
    """Return the studies of the store with their states. A damaged one is listed with what is wrong."""
    found: list[dict[str, Any]] = []
    for name in reader.studies():
        try:
            found.append(_headline(reader.study(name)))
        except CorruptStore as error:
            found.append({"name": name, "status": "damaged", "error": str(error)})
    return {"store": reader.store.url, "studies": found}


def study_overview(reader: StoreReader, state: StudyState, parameters: Parameters) -> dict[str, Any]:
    """Return how far a study is: by kind of step, with what was lost and why, and its retries."""
    reasons = Counter[str]()
    for one in state.finished.values():
        reasons.update(one.account.reasons)
    record = load_record(reader.store, state.name)
    failures = state.live.failures if state.live else {}
    return _headline(state) | {
        "kinds": _by_kind(state),
        "reasons": reasons.most_common(20),
        "failures": [
            {"key": key, "label": state.graph.nodes[key].label, "why": why}
            for key, why in failures.items()
            if key in state.graph.nodes and key not in state.finished
        ],
        "retries": [retry.model_dump() for retry in load_retries(reader.store, state.name)],
        "record": record.model_dump(include={"created", "wall_seconds", "planned_wall", "peak_memory_gib"})
        if record
        else None,
        "messages": [message.model_dump() for message in state.live.messages[-6:]] if state.live else [],
        "has_report": "report" in reader.folders(state),
        "spending": _spending(reader, state),
    }


def study_costs(reader: StoreReader, state: StudyState, parameters: Parameters) -> dict[str, Any]:
    """Return what a study has spent, by model, against its budget, and the time of its steps against the plan."""
    return {
        "spending": _spending(reader, state),
        "kinds": _by_kind(state),
        "deviations": _deviations(state),
        "record": record.model_dump(include={"created", "wall_seconds", "planned_wall", "peak_memory_gib"})
        if (record := load_record(reader.store, state.name))
        else None,
    }


def _headline(state: StudyState) -> dict[str, Any]:
    total, done = len(state.graph.record.steps), len(state.finished)
    live, lease = state.live, state.lease
    found: dict[str, Any] = {
        "name": state.name,
        "description": state.graph.record.description,
        "status": _status(state),
        "search": state.graph.record.search is not None,
        "total": total,
        "done": done,
        "rows": sum(one.account.rows_out for one in state.finished.values()),
        "failed_rows": sum(one.account.failed for one in state.finished.values()),
        "driver": lease.description if lease else "",
        "since": lease.since if lease else (live.started if live else ""),
        "at": live.at if live else "",
    }
    if state.running and live and (eta := _remaining_seconds(state)) is not None:
        found["eta"] = eta
    return found


def _status(state: StudyState) -> str:
    """Return "running", "finished", "stopped" (its driver has exited), "interrupted", "failed" or "unfinished"."""
    if state.driver:
        return state.driver
    if len(state.finished) >= len(state.graph.record.steps):
        return "finished"
    if state.live and state.live.failures:
        return "failed"
    return {"interrupted": "interrupted", "stopped": "stopped"}.get(
        state.live.ended if state.live else "", "unfinished"
    )


def _remaining_seconds(state: StudyState) -> float | None:
    """Return the estimated remaining time: the elapsed time, scaled by the planned times of what is left."""
    assert state.live is not None
    mine = set(state.lease.steps) if state.lease else set[str]()
    steps = [node for node in state.graph.record.steps if node.key in mine]
    if any(node.planned is None for node in steps):
        return None
    done = sum((node.planned or 0.0) * _share_done(state, node) for node in steps)
    whole = sum(node.planned or 0.0 for node in steps)
    elapsed = (datetime.now(UTC) - datetime.fromisoformat(state.live.started)).total_seconds()
    return elapsed * (whole - done) / done if done and elapsed > MIN_SECONDS_FOR_ETA else None


def _share_done(state: StudyState, node: StepNode) -> float:
    if node.key in state.finished:
        return 1.0
    progress = state.live.steps.get(node.key) if state.live else None
    return min(1.0, progress.done / progress.total) if progress and progress.total else 0.0


def _by_kind(state: StudyState) -> list[dict[str, Any]]:
    groups: dict[str, list[StepNode]] = defaultdict(list)
    for node in state.graph.record.steps:
        groups[node.kind].append(node)
    return [_kind(state, kind, nodes) for kind, nodes in groups.items()]


def _kind(state: StudyState, kind: str, nodes: list[StepNode]) -> dict[str, Any]:
    done = [state.finished[node.key] for node in nodes if node.key in state.finished]
    states = Counter(step_state(state, node.key) for node in nodes)
    unknown = any(node.planned is None for node in nodes)
    left = [node for node in nodes if node.key not in state.finished]
    kinds = {state.graph.kinds[key] for node in nodes for key in node.inputs if key in state.graph.kinds}
    progress = [state.live.steps[node.key] for node in left if state.live and node.key in state.live.steps]
    return {
        "kind": kind or "unknown",
        "steps": len(nodes),
        "states": states,
        "sources": sorted(kinds - {kind}),
        "rows": sum(one.account.rows_out for one in done),
        "rejected": sum(one.account.rejected for one in done),
        "failed": sum(one.account.failed for one in done),
        "seconds": sum(one.seconds for one in done),
        "planned": None if unknown else sum(node.planned or 0.0 for node in nodes),
        "remaining": None if unknown else sum(node.planned or 0.0 for node in left),
        "share": sum(_share_done(state, node) for node in nodes) / len(nodes),
        "rate": sum(one.per_second for one in progress) if state.running else 0.0,
    }


def _deviations(state: StudyState) -> list[dict[str, Any]]:
    """Return the finished steps whose time differs most from the plan."""
    known = [node for node in state.graph.record.steps if node.planned and node.key in state.finished]
    known.sort(key=lambda node: -abs(state.finished[node.key].seconds - (node.planned or 0.0)))
    return [
        {"key": node.key, "label": node.label, "seconds": state.finished[node.key].seconds, "planned": node.planned}
        for node in known[:8]
    ]


def _spending(reader: StoreReader, state: StudyState) -> dict[str, Any]:
    spent = load_spending(reader.store, state.name)
    return {
        "models": {name: one.model_dump() for name, one in spent.models.items()},
        "tokens": spent.tokens,
        "dollars": spent.dollars,
        "gpu_hours": spent.gpu_hours,
        "budget": state.graph.record.budget,
    }
