"""The losses of trainings: of finished ones from their manifests, of those in progress as they come."""

from __future__ import annotations

from typing import Any

from pipelines.ui.reading.parameters import Parameters
from pipelines.ui.reading.reader import StoreReader, StudyState

MAX_POINTS = 200
MAX_CURVES = 300


def list_losses(reader: StoreReader, state: StudyState, parameters: Parameters) -> dict[str, Any]:
    """Return the loss curves of a study's trainings, those in progress first; `left_out` is how many are not shown."""
    running = state.live.losses if state.live else {}
    keys = [node.key for node in state.graph.record.steps if node.kind == "train"]
    keys = [key for key in keys if key in running or key in state.finished]
    keys.sort(key=lambda key: key not in running)
    return {
        "curves": [_curve(reader, state, key) for key in keys[:MAX_CURVES]],
        "left_out": max(0, len(keys) - MAX_CURVES),
        "planned": sum(node.kind == "train" for node in state.graph.record.steps),
    }


def _curve(reader: StoreReader, state: StudyState, key: str) -> dict[str, Any]:
    node = state.graph.nodes[key]
    found: dict[str, Any] = {"key": key, "label": node.label.removeprefix("train "), "model": node.model}
    if key in state.finished:
        extra = reader.manifest(state, key).extra
        speed = extra.get("speed") or {}
        return found | {
            "points": _thinned(extra.get("losses") or []),
            "seconds": state.finished[key].seconds,
            "rows": state.finished[key].account.rows_out,
            "tokens_per_second": speed.get("tokens_per_second"),
        }
    live = state.live
    progress = live.steps.get(key) if live else None
    points = live.losses.get(key, []) if live else []
    return found | {
        "points": _thinned(points),
        "running": state.running,
        "done": progress.done if progress else 0,
        "total": progress.total if progress else 0,
    }


def _thinned(points: list[Any]) -> list[Any]:
    stride = -(-len(points) // MAX_POINTS) or 1
    kept = points[::stride]
    return kept if not points or kept[-1] == points[-1] else [*kept, points[-1]]
