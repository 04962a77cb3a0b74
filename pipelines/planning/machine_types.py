"""On which kind of a cluster's machines a step's model will lie: the cheapest that holds a whole replica or worker."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from cluster.resources.inventory import Inventory, Node
from cluster.resources.memory_footprint import Footprint, holds
from cluster.resources.placement import Request
from pipelines.planning.memory import needs
from pipelines.planning.requests import examiner_request, sizes, training_request
from pipelines.study.graph.params import EvaluateJob, TrainJob
from pipelines.study.graph.step import Step
from pipelines.study.spec.study import Study

NOWHERE = Inventory(())


class Kinds:
    """The kinds of machines of a cluster, and what each step of a study takes of them.

    `hourly` are their prices by name. Kinds without one are taken for the cheaper the smaller they are: placement, too,
    fills small machines first. Without a cluster nothing is known of where a step will lie.
    """

    def __init__(
        self, study: Study, folder: Path, cluster: Inventory = NOWHERE, hourly: Mapping[str, float] | None = None
    ) -> None:
        self.study, self.folder, self.cluster = study, folder, cluster
        self._sizes, self._prices = sizes(study), hourly or {}
        self._kinds = sorted({replace(node, name=""): node for node in cluster.nodes}.values(), key=self._cost)
        self._found: dict[tuple[str, str, int, int], Node | None] = {}

    def asked(self, step: Step) -> Request:
        """What runs a step that asks a model: its training's workers, an examiner, or its model's replicas."""
        if isinstance(step.job, TrainJob):
            return training_request(self.study, step.job)
        if isinstance(step.job, EvaluateJob):
            return examiner_request(self.study, [step])
        return self._sizes[getattr(step.job, "model", "")]

    def of(self, step: Step) -> Node | None:
        """The kind of machine that a step's model will lie on; None if it asks no model, or none holds it."""
        model, job = getattr(step.job, "model", ""), step.job
        if not model or not self._kinds:
            return None
        # a grid's trainings share these objects, and there may be thousands of them
        recipe, place = (id(job.recipe), id(job.place)) if isinstance(job, TrainJob) else (0, 0)
        use = (model, "examiner" if step.kind == "evaluate" else "", recipe, place)
        if use not in self._found:
            self._found[use] = self._choose(step)
        return self._found[use]

    def gpu(self, step: Step) -> str | None:
        """The kind of GPU that a step's model will lie on; None without one, and if that is not known."""
        asked, kind = self.asked(step), self.of(step)
        return (kind.accelerator if kind else asked.kind) or None if asked.gpus else None

    def _cost(self, node: Node) -> tuple[float, float, float]:
        return self._prices.get(node.name, math.inf) / (node.gpus or node.cpus or 1), node.gpus, node.cpus

    def _choose(self, step: Step) -> Node | None:
        """Replicas lie on one node each, but for those that placement spreads over several, GPU by GPU."""
        (bundle,) = self.asked(step).bundles(self.cluster)
        memory = self._footprints(step)
        for kind in self._kinds:
            able = bool(kind.gpus) == bool(bundle.gpus) and bundle.kind in ("", kind.accelerator)
            room = kind.gpus >= bundle.gpus and kind.cpus >= bundle.cpus
            if able and room and all(holds(kind, size, bundle.gpus) for size in memory):
                return kind
        return None

    def _footprints(self, step: Step) -> list[Footprint]:
        """What a step's model takes of memory, as far as that is known."""
        study, job = self.study, step.job
        if isinstance(job, TrainJob):
            mine = [
                each
                for each in study.students
                if (each.model, study.recipes[each.recipe], each.place) == (job.model, job.recipe, job.place)
            ]
            study = study.model_copy(update={"students": mine})
        serves, model = not isinstance(job, TrainJob), getattr(job, "model", "")
        found = needs(study, self.folder)
        return [need.footprint for need in found if need.name == model and (need.role == "to serve") == serves]
