"""What a study will take: tokens, GPU-hours, disk, and on a cluster of some size wall time and money."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.footprint import holds
from cluster.inventory import Inventory
from cluster.launch.description import Cloud, Description, Machine, Market, Worker
from cluster.prices import Prices
from pipelines.attribution import model_of
from pipelines.footprints import needs
from pipelines.phases import capacity, order, sizes
from pipelines.plan import Plan
from pipelines.study.estimate import BYTES_PER_PARAMETER, parameters
from pipelines.study.spec import Model, Study
from pipelines.study.steps import ROW_WISE, EvaluateJob, Step, TrainJob

BYTES_OF_ROW = 600  # of a row's Parquet, where nothing was measured
Timed = Sequence[tuple[Step, float]]
"""Steps with their seconds, in an order that can be run."""


@dataclass(frozen=True, slots=True)
class Bill:
    """What the unfinished steps of a plan take whatever the cluster. Hours count the replicas at work."""

    tokens_in: float
    tokens_out: float
    gpu_hours: float
    disk_bytes: float
    hours: dict[str, float]


def make_bill(study: Study, folder: Path, plan: Plan) -> Bill:
    """The bill of what is still to be run."""
    hours: dict[str, float] = defaultdict(float)
    disk = read = written = 0.0
    for step in plan.pending:
        work = plan.works[step.key]
        read, written = read + work.tokens_in, written + work.tokens_out
        line = plan.line(step)
        if isinstance(step.job, TrainJob):
            disk += parameters(study.models[work.model], folder) * BYTES_PER_PARAMETER
        else:
            disk += work.rows_in * line.bytes_out if line else work.rows_out * BYTES_OF_ROW
        if work.model:
            hours[work.model] += plan.seconds[step.key] * _workers(study.models[work.model], step) / 3600
    gpu_hours = sum(amount * study.models[name].gpus for name, amount in hours.items())
    return Bill(read, written, gpu_hours, disk, dict(hours))


def _workers(model: Model, step: Step) -> int:
    return 1 if isinstance(step.job, TrainJob | EvaluateJob) else model.replicas


def timed(plan: Plan) -> Timed:
    """The unfinished steps with their planned seconds."""
    return [(step, plan.seconds[step.key]) for step in plan.pending]


def together(steps: Timed, study: Study, cluster: Inventory) -> float:
    """Seconds of the wall: steps before the stream, its phases, and students side by side, one after the other."""
    students = [(step, seconds) for step, seconds in steps if step.kind in ("train", "evaluate")]
    stream = {step.key: seconds for step, seconds in steps if step.kind in ROW_WISE}
    rest = sum(seconds for step, seconds in steps if step.kind not in ("train", "evaluate", *ROW_WISE))
    row_wise = [step for step, _ in steps if step.key in stream]
    phases = order(row_wise, sizes(study), capacity(cluster))
    streamed = sum(_phase([(step, stream[step.key]) for step in phase.steps], study) for phase in phases)
    return rest + streamed + _students(students, study, cluster)


def _phase(steps: Timed, study: Study) -> float:
    """Models with GPUs work side by side, those without share the CPUs."""
    busy: dict[str, float] = defaultdict(float)
    for step, seconds in steps:
        model = model_of(step)
        busy[model if study.models[model].gpus else ""] += seconds
    return max(busy.values(), default=0.0)


def _students(steps: Timed, study: Study, cluster: Inventory) -> float:
    """Trainings side by side as far as there is room; each student is examined, one at a time, when it is trained."""
    exams: dict[str, list[float]] = defaultdict(list)
    for step, seconds in steps:
        if isinstance(step.job, EvaluateJob):
            exams[step.inputs[0].key if step.inputs else ""].append(seconds)
    trains = [(step, seconds) for step, seconds in steps if step.kind == "train"]
    trained = {step.key for step, _ in trains}
    lanes = [0.0] * _lanes([step for step, _ in steps], study, cluster)
    examiner = ended = 0.0
    alone = [sum(each) for key, each in exams.items() if key not in trained]
    for key, seconds in [*(("", 0.0) for _ in alone), *((step.key, seconds) for step, seconds in trains)]:
        free = heapq.heappop(lanes) + seconds
        for exam in exams[key] if key else [alone.pop()]:
            free = examiner = max(free, examiner) + exam
        heapq.heappush(lanes, free)
        ended = max(ended, free)
    return ended


def _lanes(steps: Iterable[Step], study: Study, cluster: Inventory) -> int:
    """How many trainings fit beside the examiner."""
    models = [study.models[step.job.model] for step in steps if isinstance(step.job, TrainJob | EvaluateJob)]
    room: list[float] = []
    for most, each in ((cluster.cpus, [m.cpus for m in models]), (cluster.gpus, [m.gpus for m in models])):
        largest = max(each, default=0.0)
        room += [(most - largest) / largest] if largest else []
    return max(1, int(min(room, default=1) + 1e-9))


def lower_bound(plan: Plan, study: Study, cluster: Inventory) -> float:
    """Seconds below which no order of the unfinished steps can get: all GPUs (or CPUs) always busy, or the longest
    training with its examination."""
    area = {"gpus": 0.0, "cpus": 0.0}
    longest = 0.0
    for step in plan.pending:
        seconds, work = plan.seconds[step.key], plan.works[step.key]
        if not work.model:
            continue
        model = study.models[work.model]
        area["gpus"] += seconds * model.gpus * _workers(model, step)
        area["cpus"] += seconds * model.cpus * _workers(model, step)
        longest = max(longest, seconds)
    rooms = ((area["gpus"], cluster.gpus), (area["cpus"], cluster.cpus))
    return max(longest, *(wanted / room for wanted, room in rooms if room))


@dataclass(frozen=True, slots=True)
class Offer:
    """Whose machines the money is for."""

    cluster: Description
    prices: Prices
    cloud: Cloud

    def hourly(self, machine: Machine, market: Market) -> float | None:
        """The price of a machine; None if the price file lacks it."""
        return self.prices.hourly(self.cluster, self.cloud, machine, market)


def money(bill: Bill, study: Study, folder: Path, wall: float, offer: Offer, market: Market) -> float | None:
    """The price: each model's hours on the cheapest machines that hold it, and the head for `wall` seconds.

    None if the price file lacks a machine, or if none of the cluster's holds a model. Machines that start or wait are
    not in it.
    """
    head = offer.hourly(offer.cluster.head, "on_demand")
    parts = [None if head is None else head * wall / 3600]
    for name, hours in bill.hours.items():
        kinds = [worker for worker in offer.cluster.workers if _holds(study, folder, name, worker)]
        prices = [(offer.hourly(kind, market), _share(study.models[name], kind)) for kind in kinds]
        parts.append(min((price * share * hours for price, share in prices if price is not None), default=None))
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def _share(model: Model, worker: Worker) -> float:
    """The part of a machine that a replica takes; more than one machine if it is spread."""
    return model.gpus / worker.gpus if model.gpus else model.cpus / worker.cpus


def _holds(study: Study, folder: Path, name: str, worker: Worker) -> bool:
    if bool(study.models[name].gpus) != bool(worker.gpus):
        return False
    mine = [need for need in needs(study, folder) if need.name == name]
    return all(holds(worker.node(), need.footprint, min(need.gpus, worker.gpus)) for need in mine)
