"""What replicas, trainings and evaluations ask of the cluster, for checks, plans, prices and runs alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from actors.engines.registry import resolve
from cluster.resources.placement import Ground, Request
from pipelines.study.graph.params import EvaluateJob, TrainJob
from pipelines.study.graph.step import Step
from pipelines.study.spec.model import Model
from pipelines.study.spec.study import Study

START_SECONDS = 15.0  # of evaluations that wait, for one more examiner to be worth its start


@dataclass(frozen=True, slots=True)
class Room:
    """A cluster, beside what is `kept` from gangs throughout."""

    ground: Ground
    kept: tuple[Request, ...] = ()

    def holds(self, requests: Iterable[Request]) -> bool:
        """Whether all of these have room at the same time."""
        return self.ground.holds([*self.kept, *requests])


def examiner_request(study: Study, steps: Iterable[Step]) -> Request:
    """What a replica takes that can examine the students of all these steps."""
    models = [study.models[step.job.model] for step in steps if isinstance(step.job, EvaluateJob)]
    cpus, gpus = (max((getattr(model, of) for model in models), default=0.0) for of in ("cpus", "gpus"))
    return Request("examiner", cpus, gpus, kind=max((model.accelerator for model in models), default=""))


def training_request(study: Study, job: TrainJob) -> Request:
    """What the workers of a training take: as its student says, as much as its model unless it says otherwise."""
    model, place = study.models[job.model], job.place
    cpus = model.cpus if place.cpus is None else place.cpus
    gpus = model.gpus if place.gpus is None else place.gpus
    return Request("training", cpus, gpus, place.workers, kind=model.accelerator if gpus else "")


def examined_after(trains: Iterable[Step], evaluations: Iterable[Step]) -> dict[str, list[Step]]:
    """Evaluations by the key of the training that they wait for; by "" those that wait for none."""
    after: dict[str, list[Step]] = {"": []} | {train.key: [] for train in trains}
    for step in evaluations:
        after[next((needed.key for needed in step.inputs if needed.key in after), "")].append(step)
    return after


def room_beside(examiner: Request, gangs: Iterable[Request], ground: Ground) -> Room:
    """The room for gangs beside an examiner that stays throughout; all of it if one of them would not fit then."""
    beside = Room(ground, (examiner,))
    return beside if all(beside.holds([gang]) for gang in set(gangs)) else Room(ground)


def sizes(study: Study) -> dict[str, Request]:
    """What the replicas of each model of a study take. vLLM's may lie on several nodes."""
    return {name: _size(name, model) for name, model in study.models.items()}


def _size(name: str, model: Model) -> Request:
    spread = resolve(model.engine, model.gpus) == "vllm"
    return Request(name, model.cpus, model.gpus, model.replicas, spread, model.accelerator)
