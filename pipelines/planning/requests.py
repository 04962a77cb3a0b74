"""Resource requests of replicas, trainings and evaluations, used by checks, plans, prices and runs."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from actors.engines.registry import engine_info
from cluster.resources.placement import ClusterCapacity, ResourceRequest
from pipelines.study.graph.steps.params.students import EvaluateParams, TrainParams
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.common.model import Model
from pipelines.study.spec.study import Study

T = TypeVar("T")
EVALUATOR_START_SECONDS = 15.0  # of queued evaluations that justify starting one more evaluator


@dataclass(frozen=True, slots=True)
class FreeCapacity:
    """The capacity of a cluster for gangs, without the requests that are always `reserved`."""

    cluster: ClusterCapacity
    reserved: tuple[ResourceRequest, ...] = ()

    def fits(self, requests: Iterable[ResourceRequest]) -> bool:
        """Return whether all requests fit at the same time."""
        return self.cluster.holds([*self.reserved, *requests])


def evaluator_request(study: Study, steps: Iterable[Step]) -> ResourceRequest:
    """Return the request of one replica that can evaluate the students of all these steps."""
    models = [study.models[step.params.model] for step in steps if isinstance(step.params, EvaluateParams)]
    cpus, gpus = (max((getattr(model, of) for model in models), default=0.0) for of in ("cpus", "gpus"))
    return ResourceRequest(
        "evaluator", cpus, gpus, accelerator_type=max((model.accelerator for model in models), default="")
    )


def training_request(study: Study, job: TrainParams) -> ResourceRequest:
    """Return the request of a training's workers: the student's resources, by default the model's CPUs and one GPU."""
    model, resources = study.models[job.model], job.resources
    cpus = model.cpus if resources.cpus is None else resources.cpus
    gpus = resources.worker_gpus(model.gpus)
    return ResourceRequest(
        "training", cpus, gpus, resources.workers, accelerator_type=model.accelerator if gpus else ""
    )


class RequestQueue(Generic[T]):
    """Items that wait for resources, in order.

    Only the first item of each distinct request is looked at, so that its length does not matter.
    """

    def __init__(self, items: Iterable[tuple[ResourceRequest, T]] = ()) -> None:
        self._queues = defaultdict[ResourceRequest, deque[tuple[int, T]]](deque)
        self._first = 0
        for order, (request, item) in enumerate(items, 1):
            self._queues[request].append((order, item))

    def __bool__(self) -> bool:
        return any(self._queues.values())

    def put_first(self, items: Sequence[tuple[ResourceRequest, T]]) -> None:
        """Put items before all others, in the given order."""
        for request, item in reversed(items):
            self._queues[request].appendleft((self._first, item))
            self._first -= 1

    def take(self, fits: Callable[[ResourceRequest], bool]) -> Iterator[T]:
        """Yield and remove the items that can start, in order. `fits` must count those that were yielded before."""
        refused = set[ResourceRequest]()
        while first := [
            (queue[0][0], request) for request, queue in self._queues.items() if queue and request not in refused
        ]:
            request = min(first, key=lambda one: one[0])[1]
            if fits(request):
                yield self._queues[request].popleft()[1]
            else:
                refused.add(request)


def evaluations_by_training(trains: Iterable[Step], evaluations: Iterable[Step]) -> dict[str, list[Step]]:
    """Return evaluations by the key of the training that they depend on; "" if they depend on none."""
    by_training: dict[str, list[Step]] = {"": []} | {train.key: [] for train in trains}
    for step in evaluations:
        by_training[next((needed.key for needed in step.inputs if needed.key in by_training), "")].append(step)
    return by_training


def capacity_beside_evaluator(
    evaluator: ResourceRequest, gangs: Iterable[ResourceRequest], cluster: ClusterCapacity
) -> FreeCapacity:
    """Return the capacity for gangs next to a permanent evaluator; the whole cluster if a gang would not fit then."""
    beside = FreeCapacity(cluster, (evaluator,))
    return beside if all(beside.fits([gang]) for gang in set(gangs)) else FreeCapacity(cluster)


def replica_requests(study: Study) -> dict[str, ResourceRequest]:
    """Return the resource request of each model's replicas. Some engines' replicas may span several nodes."""
    return {name: _replica_request(name, model) for name, model in study.models.items()}


def _replica_request(name: str, model: Model) -> ResourceRequest:
    engine = engine_info(model.engine, model.gpus)
    if engine.memory_model == "remote":
        return ResourceRequest(name, 0, 0, model.replicas, reserves=False)
    return ResourceRequest(name, model.cpus, model.gpus, model.replicas, engine.spans_nodes, model.accelerator)
