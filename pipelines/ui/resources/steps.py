"""The steps of a study: their states, progress and times, and all that a manifest says of one."""

from __future__ import annotations

from typing import Any

from pipelines.rows.kinds import ROW_TYPES
from pipelines.store.studies.graph_record import StepNode
from pipelines.ui.reading.parameters import Parameters
from pipelines.ui.reading.reader import NotFound, StoreReader, StudyState

MAX_REASON = 500


def list_steps(reader: StoreReader, state: StudyState, parameters: Parameters) -> dict[str, Any]:
    """Return all steps in the graph's order; inputs are positions in this list."""
    places = {node.key: place for place, node in enumerate(state.graph.record.steps)}
    return {"steps": [_step(state, node, places) for node in state.graph.record.steps]}


def step_state(state: StudyState, key: str) -> str:
    """Return "finished", "lost" (finished, but all rows have failed), "failed", "running", "partial" or "waiting"."""
    if key in state.finished:
        account = state.finished[key].account
        return "lost" if account.failed and not account.rows_out else "finished"
    live = state.live
    if live and key in live.failures:
        return "failed"
    if live and key in live.steps:
        return "running" if state.running else "partial"
    return "waiting"


def _step(state: StudyState, node: StepNode, places: dict[str, int]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "key": node.key,
        "kind": node.kind,
        "label": node.label.removeprefix(f"{node.kind} "),
        "state": step_state(state, node.key),
        "inputs": [places[key] for key in node.inputs if key in places],
    }
    if node.planned is not None:
        found["planned"] = node.planned
    if done := state.finished.get(node.key):
        account = done.account
        found |= {"in": account.rows_in, "out": account.rows_out, "seconds": round(done.seconds, 2)}
        found |= {"rejected": account.rejected, "failed": account.failed}
    elif state.live and (progress := state.live.steps.get(node.key)):
        rate = progress.per_second if state.running else 0.0
        found |= {"done": progress.done, "total": progress.total, "rate": rate, "note": progress.note}
        found |= {"eta": (progress.total - progress.done) / rate} if rate else {}
    return found


def step_detail(reader: StoreReader, state: StudyState, parameters: Parameters) -> dict[str, Any]:
    """Return what is known of one step; of a finished one, also what its key is made from."""
    key = parameters.text("key")
    node = state.graph.nodes.get(key)
    if node is None:
        raise NotFound(f"study {state.name} has no step '{key}'")
    places = {one.key: place for place, one in enumerate(state.graph.record.steps)}
    dependents = [one for one in state.graph.record.steps if key in one.inputs]
    found = _step(state, node, places) | {
        "model": node.model,
        "has_rows": node.kind in ROW_TYPES,
        "inputs": [_link(state, one) for key in node.inputs if (one := state.graph.nodes.get(key))],
        "dependents": [_link(state, one) for one in dependents],
    }
    if state.live and key in state.live.failures:
        found["failure"] = state.live.failures[key]
    if key in state.finished:
        manifest = reader.manifest(state, key)
        found |= {
            "finished": manifest.finished,
            "reasons": manifest.account.reasons,
            "notes": manifest.notes,
            "payload": manifest.payload,
            "versions": manifest.versions,
            "bytes": sum(shard.bytes for shard in manifest.shards),
            "files": len(manifest.shards),
            "placement": manifest.extra.get("placement"),
        }
    return found


def _link(state: StudyState, node: StepNode) -> dict[str, str]:
    return {"key": node.key, "label": node.label, "state": step_state(state, node.key)}
