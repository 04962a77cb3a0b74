"""Explains why a step is not reused: how it differs from the most similar finished step of its kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.store.manifest import Manifest
from pipelines.store.store import Store
from pipelines.study.graph.steps.fingerprint import canonical
from pipelines.study.graph.steps.step import Step

ABSENT = "(absent)"


class ReuseExplainer:
    """Compares steps with the finished steps in the store. Manifests are read once per kind."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.cache: dict[str, list[FinishedStep]] = {}

    def explain(self, step: Step) -> str:
        """Return one line that explains why the step will run."""
        finished = self.finished_steps(step.kind)
        if not finished:
            return f"no {step.kind} step is in the store yet"
        mine = _leaf_values(step)
        nearest = min(finished, key=lambda other: len(_differences(mine, other.leaf_values)))
        changed = _differences(mine, nearest.leaf_values)
        changes = "; ".join(_change(*each) for each in changed[:3])
        more = f"; and {len(changed) - 3} more" if len(changed) > 3 else ""
        inputs = " (its input changed)" if any(name.startswith("input") for name, _, _ in changed) else ""
        return f"nearest is '{nearest.manifest.label}'{inputs}: {changes}{more}"

    def finished_steps(self, kind: str) -> list[FinishedStep]:
        """Return the finished steps of one kind."""
        if kind not in self.cache:
            manifests = (self.store.manifest(kind, key) for key in self.store.keys(kind))
            self.cache[kind] = [FinishedStep(found, _manifest_leaf_values(found)) for found in manifests]
        return self.cache[kind]


@dataclass(frozen=True, slots=True)
class FinishedStep:
    """A finished step with its identity flattened to leaf values."""

    manifest: Manifest
    leaf_values: Mapping[str, Any]


def _leaf_values(step: Step) -> dict[str, Any]:
    inputs = {f"input {number}": needed.key for number, needed in enumerate(step.inputs)}
    return dict(_flatten(canonical(dict(step.payload)))) | inputs


def _manifest_leaf_values(manifest: Manifest) -> dict[str, Any]:
    inputs = {f"input {number}": key for number, key in enumerate(manifest.inputs)}
    return dict(_flatten(dict(manifest.payload))) | inputs


def _flatten(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flatten(item, f"{path}.{key}" if path else key)
    else:
        yield path, value


def _differences(mine: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    names = sorted(mine.keys() | other.keys())
    pairs = ((name, other.get(name, ABSENT), mine.get(name, ABSENT)) for name in names)
    return [(name, _short(was), _short(now)) for name, was, now in pairs if was != now]


def _change(name: str, was: str, now: str) -> str:
    _, of_plugin, plugin = f".{name}".rpartition(".plugins.")
    if of_plugin and ABSENT not in (was, now):
        return f"the code of the plug-in '{plugin}' has changed"
    return f"{name}: {was} -> {now}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else f"{text[:12]}..."
