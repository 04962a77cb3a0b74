"""What replicas, trainings and evaluations ask of the cluster, for checks, plans, prices and runs alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from actors.engines.registry import engine_info
from cluster.resources.placement import ClusterCapacity, ResourceRequest
from pipelines.study.graph.params import EvaluateParams, TrainParams
from pipelines.study.graph.step import Step
from pipelines.study.spec.model import Model
from pipelines.study.spec.study import Study

EVALUATOR_START_SECONDS = 15.0  # of evaluations that wait, for one more examiner to be worth its start


@dataclass(frozen=True, slots=True)
class FreeCapacity:
    """A cluster, beside what is `reserved` from gangs throughout."""

    cluster: ClusterCapacity
    reserved: tuple[ResourceRequest, ...] = ()

    def fits(self, requests: Iterable[ResourceRequest]) -> bool:
        """Whether all of these have room at the same time."""
        return self.cluster.holds([*self.reserved, *requests])


def evaluator_request(study: Study, steps: Iterable[Step]) -> ResourceRequest:
    """What a replica takes that can examine the students of all these steps."""
    models = [study.models[step.params.model] for step in steps if isinstance(step.params, EvaluateParams)]
    cpus, gpus = (max((getattr(model, of) for model in models), default=0.0) for of in ("cpus", "gpus"))
    return ResourceRequest(
        "examiner", cpus, gpus, accelerator_type=max((model.accelerator for model in models), default="")
    )


def training_request(study: Study, job: TrainParams) -> ResourceRequest:
    """What the workers of a training take: as its student says, as much as its model unless it says otherwise."""
    model, resources = study.models[job.model], job.resources
    cpus = model.cpus if resources.cpus is None else resources.cpus
    gpus = model.gpus if resources.gpus is None else resources.gpus
    return ResourceRequest(
        "training", cpus, gpus, resources.workers, accelerator_type=model.accelerator if gpus else ""
    )


def evaluations_by_training(trains: Iterable[Step], evaluations: Iterable[Step]) -> dict[str, list[Step]]:
    """Evaluations by the key of the training that they wait for; by "" those that wait for none."""
    by_training: dict[str, list[Step]] = {"": []} | {train.key: [] for train in trains}
    for step in evaluations:
        by_training[next((needed.key for needed in step.inputs if needed.key in by_training), "")].append(step)
    return by_training


def capacity_beside_evaluator(
    evaluator: ResourceRequest, gangs: Iterable[ResourceRequest], cluster: ClusterCapacity
) -> FreeCapacity:
    """The room for gangs beside an examiner that stays throughout; all of it if one of them would not fit then."""
    beside = FreeCapacity(cluster, (evaluator,))
    return beside if all(beside.fits([gang]) for gang in set(gangs)) else FreeCapacity(cluster)


def replica_requests(study: Study) -> dict[str, ResourceRequest]:
    """What the replicas of each model of a study take. Those of some engines may lie on several nodes."""
    return {name: _replica_request(name, model) for name, model in study.models.items()}


def _replica_request(name: str, model: Model) -> ResourceRequest:
    spans_nodes = engine_info(model.engine, model.gpus).spans_nodes
    return ResourceRequest(name, model.cpus, model.gpus, model.replicas, spans_nodes, model.accelerator)
