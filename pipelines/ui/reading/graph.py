"""The graph of a study as the page reads it: steps that know their inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from pipelines.store.manifest import Manifest
from pipelines.store.studies.graph_record import StepNode, StudyGraph


@dataclass(frozen=True, slots=True, eq=False)
class SavedStep:
    """A step of a saved graph, for lineage."""

    key: str
    kind: str
    label: str
    inputs: tuple[SavedStep, ...]
    unites: bool


@dataclass(frozen=True)
class SavedGraph:
    """A saved graph, whose steps know their inputs."""

    record: StudyGraph

    @cached_property
    def nodes(self) -> dict[str, StepNode]:
        """The steps' records by key."""
        return {node.key: node for node in self.record.steps}

    @property
    def steps(self) -> Mapping[str, SavedStep]:
        """The steps by key, each after its inputs."""
        return self._linked

    @cached_property
    def _linked(self) -> dict[str, SavedStep]:
        found: dict[str, SavedStep] = {}
        for node in self.record.steps:
            inputs = tuple(found[key] for key in node.inputs if key in found)
            found[node.key] = SavedStep(node.key, node.kind, node.label, inputs, node.unites)
        return found

    @cached_property
    def kinds(self) -> dict[str, str]:
        """The kinds of the steps by key."""
        return {node.key: node.kind for node in self.record.steps}


def graph_of_manifests(study: str, keys: frozenset[str], manifests: Mapping[str, Manifest]) -> StudyGraph:
    """Return the graph of a study that has saved none: of its finished steps, each after its inputs.

    The labels of the other steps are not known; they are listed without a kind.
    """
    ordered: dict[str, StepNode] = {}

    def add(key: str) -> None:
        if key in ordered or key not in manifests:
            return
        manifest = manifests[key]
        for source in manifest.inputs:
            add(source)
        unites = str(manifest.payload.get("params", "")).startswith("union") or manifest.kind.startswith("union")
        ordered[key] = StepNode(
            key=key, kind=manifest.kind, label=manifest.label, inputs=manifest.inputs, unites=unites
        )

    for key in sorted(keys):
        add(key)
    unknown = (StepNode(key=key, kind="", label=f"unknown step {key[:8]}") for key in sorted(keys - ordered.keys()))
    return StudyGraph(study=study, steps=(*ordered.values(), *unknown))
