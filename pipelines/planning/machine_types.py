"""Predicts the machine type of each step's model: the cheapest that fits a whole replica or worker."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from cluster.resources.inventory import Inventory, Node
from cluster.resources.memory_footprint import Footprint, fits
from cluster.resources.placement import ResourceRequest
from pipelines.planning.memory import memory_needs
from pipelines.planning.requests import evaluator_request, replica_requests, training_request
from pipelines.study.graph.steps.params.students import EvaluateParams, TrainParams
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.study import Study
from pipelines.study.spec.training.recipes import Recipe, TrainingResources

NO_MACHINE = Inventory(())


class _Use(NamedTuple):
    """What determines the machine type of a step. `recipe` and `resources` are a training's."""

    model: str
    is_evaluation: bool
    recipe: Recipe | None = None
    resources: TrainingResources | None = None


class MachineTypes:
    """The machine types of a cluster, and the resources that each step of a study requests.

    `hourly` are their prices by name. Among types without a price, a smaller one is assumed to be cheaper, as placement
    fills small machines first, too. Without a cluster, the machine type of a step is unknown.
    """

    def __init__(
        self, study: Study, folder: Path, cluster: Inventory = NO_MACHINE, hourly: Mapping[str, float] | None = None
    ) -> None:
        self.study, self.folder, self.cluster = study, folder, cluster
        self._replica_requests, self._prices = replica_requests(study), hourly or {}
        self._types = sorted({replace(node, name=""): node for node in cluster.nodes}.values(), key=self._cost)
        self._type_by_use: dict[_Use, Node | None] = {}
        self._requests: dict[tuple[str, TrainingResources | None], ResourceRequest] = {}

    def request(self, step: Step) -> ResourceRequest:
        """Return the resources of a step with a model: its training's workers, an evaluator or its model's replicas."""
        params = step.params
        if not isinstance(params, TrainParams | EvaluateParams):
            return self._replica_requests[params.model]
        use = (params.model, params.resources if isinstance(params, TrainParams) else None)
        if use not in self._requests:
            self._requests[use] = self._request(step)
        return self._requests[use]

    def _request(self, step: Step) -> ResourceRequest:
        if isinstance(step.params, TrainParams):
            return training_request(self.study, step.params)
        return evaluator_request(self.study, [step])

    def type_of(self, step: Step) -> Node | None:
        """Return the machine type for a step's model; None if the step calls no model or no type fits it."""
        model, job = step.params.model, step.params
        if not model or not self._types:
            return None
        use = _Use(model, step.kind == "evaluate")
        if isinstance(job, TrainParams):
            use = use._replace(recipe=job.recipe, resources=job.resources)
        if use not in self._type_by_use:
            self._type_by_use[use] = self._choose(step)
        return self._type_by_use[use]

    def gpu_of(self, step: Step) -> str | None:
        """Return the GPU type for a step's model; None if it needs no GPU or the type is unknown."""
        request, machine_type = self.request(step), self.type_of(step)
        return (
            (machine_type.accelerator if machine_type else request.accelerator_type) or None if request.gpus else None
        )

    def _cost(self, node: Node) -> tuple[float, float, float]:
        return self._prices.get(node.name, math.inf) / (node.gpus or node.cpus or 1), node.gpus, node.cpus

    def _choose(self, step: Step) -> Node | None:
        """Return the cheapest machine type that fits.

        A replica runs on one node, unless placement spreads it over several nodes GPU by GPU.
        """
        (bundle,) = self.request(step).bundles(self.cluster)
        memory = self._footprints(step)
        for machine_type in self._types:
            right_hardware = bool(machine_type.gpus) == bool(bundle.gpus) and bundle.accelerator_type in (
                "",
                machine_type.accelerator,
            )
            large_enough = machine_type.gpus >= bundle.gpus and machine_type.cpus >= bundle.cpus
            if right_hardware and large_enough and all(fits(machine_type, size, bundle.gpus) for size in memory):
                return machine_type
        return None

    def _footprints(self, step: Step) -> list[Footprint]:
        """Return the memory needs of a step's model, as far as they are known."""
        study, job = self.study, step.params
        if isinstance(job, TrainParams):
            students = [
                each
                for each in study.students
                if (each.model, study.recipes[each.recipe], each.resources) == (job.model, job.recipe, job.resources)
            ]
            study = study.model_copy(update={"students": students})
        is_serving, model = not isinstance(job, TrainParams), getattr(job, "model", "")
        found = memory_needs(study, self.folder)
        return [need.footprint for need in found if need.name == model and (need.role == "to serve") == is_serving]
