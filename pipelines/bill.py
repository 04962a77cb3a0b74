"""What a study will take: tokens, GPU-hours, disk, and on a cluster of some size wall time and money."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from cluster.footprint import holds
from cluster.inventory import Inventory
from cluster.launch.description import Cloud, Description, Machine, Market, Worker
from cluster.prices import Prices
from pipelines.attribution import model_of
from pipelines.footprints import needs
from pipelines.gangs import training_request
from pipelines.phases import order, sizes
from pipelines.plan import Plan
from pipelines.study.estimate import BYTES_PER_PARAMETER, parameters
from pipelines.study.spec import Study
from pipelines.study.steps import ROW_WISE, EvaluateJob, Step, TrainJob
from pipelines.timetable import Timed, Timetable

BYTES_OF_ROW = 600  # of a row's Parquet, where nothing was measured


@dataclass(frozen=True, slots=True)
class Bill:
    """What the unfinished steps of a plan take whatever the cluster. `hours` are those of CPUs and GPUs by model."""

    tokens_in: float
    tokens_out: float
    gpu_hours: float
    disk_bytes: float
    hours: dict[str, tuple[float, float]]


def make_bill(study: Study, folder: Path, plan: Plan) -> Bill:
    """The bill of what is still to be run."""
    hours: dict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
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
            spent, (cpus, gpus) = plan.seconds[step.key] / 3600, _share_of(study, step)
            hours[work.model] = (hours[work.model][0] + cpus * spent, hours[work.model][1] + gpus * spent)
    return Bill(read, written, sum(gpus for _, gpus in hours.values()), disk, dict(hours))


def timed(plan: Plan) -> Timed:
    """The unfinished steps with their planned seconds."""
    return [(step, plan.seconds[step.key]) for step in plan.pending]


def together(steps: Timed, study: Study, cluster: Inventory) -> float:
    """Seconds of the wall: steps before the stream, its phases, and students side by side, one after the other."""
    students = [(step, seconds) for step, seconds in steps if step.kind in ("train", "evaluate")]
    stream = {step.key: seconds for step, seconds in steps if step.kind in ROW_WISE}
    rest = sum(seconds for step, seconds in steps if step.kind not in ("train", "evaluate", *ROW_WISE))
    row_wise = [step for step, _ in steps if step.key in stream]
    phases = order(row_wise, sizes(study), cluster)
    streamed = sum(_phase([(step, stream[step.key]) for step in phase.steps], study) for phase in phases)
    return rest + streamed + Timetable(students, study, cluster).wall()


def _phase(steps: Timed, study: Study) -> float:
    """Models with GPUs work side by side, those without share the CPUs."""
    busy: dict[str, float] = defaultdict(float)
    for step, seconds in steps:
        model = model_of(step)
        busy[model if study.models[model].gpus else ""] += seconds
    return max(busy.values(), default=0.0)


def _share_of(study: Study, step: Step) -> tuple[float, float]:
    """The CPUs and GPUs that a step holds while it runs: of its training's workers, or of its model's replicas."""
    if isinstance(step.job, TrainJob):
        asked = training_request(study, step.job)
        return asked.replicas * asked.cpus, asked.replicas * asked.gpus
    model = study.models[getattr(step.job, "model", "")]
    replicas = 1 if isinstance(step.job, EvaluateJob) else model.replicas
    return replicas * model.cpus, replicas * model.gpus


def lower_bound(plan: Plan, study: Study, cluster: Inventory) -> float:
    """Seconds below which no order of the unfinished steps can get: all GPUs (or CPUs) always busy, or the longest
    step."""
    cpus = gpus = longest = 0.0
    for step in plan.pending:
        if not plan.works[step.key].model:
            continue
        seconds, share = plan.seconds[step.key], _share_of(study, step)
        cpus, gpus = cpus + seconds * share[0], gpus + seconds * share[1]
        longest = max(longest, seconds)
    return max(longest, *(wanted / room for wanted, room in ((cpus, cluster.cpus), (gpus, cluster.gpus)) if room))


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
    for name, (cpus, gpus) in bill.hours.items():
        kinds = [worker for worker in offer.cluster.workers if _holds(study, folder, name, worker)]
        prices = [(offer.hourly(kind, market), gpus / kind.gpus if gpus else cpus / kind.cpus) for kind in kinds]
        parts.append(min((price * machines for price, machines in prices if price is not None), default=None))
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def _holds(study: Study, folder: Path, name: str, worker: Worker) -> bool:
    if bool(study.models[name].gpus) != bool(worker.gpus):
        return False
    mine = [need for need in needs(study, folder) if need.name == name]
    return all(holds(worker.node(), need.footprint, min(need.gpus, worker.gpus)) for need in mine)
