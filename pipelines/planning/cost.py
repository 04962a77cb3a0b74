"""What a study will take: tokens, GPU-hours, disk, and on a cluster of some size wall time and money."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from cluster.launch.description import Cloud, Description, Machine, Market
from cluster.launch.prices import Prices
from cluster.resources.inventory import Inventory
from pipelines.planning.machine_types import Kinds
from pipelines.planning.makespan import Timed, Timetable
from pipelines.planning.model_size import BYTES_PER_PARAMETER, parameters
from pipelines.planning.plan import Plan
from pipelines.planning.requests import sizes
from pipelines.planning.residency.phases import order
from pipelines.study.graph.params import TrainJob
from pipelines.study.graph.step import ROW_WISE, model_of
from pipelines.study.spec.study import Study

BYTES_OF_ROW = 600  # of a row's Parquet, where nothing was measured


@dataclass(frozen=True, slots=True)
class Bill:
    """What the unfinished steps of a plan take; None is unknown.

    `hours` are those of CPUs and GPUs by the kind of machine that they are of; "" is for steps that none would hold.
    """

    tokens_in: float
    tokens_out: float
    gpu_hours: float | None
    disk_bytes: float | None
    hours: dict[str, tuple[float, float]] | None


def make_bill(study: Study, folder: Path, plan: Plan) -> Bill:
    """The bill of what is still to be run."""
    hours: dict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
    disk = read = written = 0.0
    unknown = [step for step in plan.pending if step.key in plan.unknown]
    for step in plan.pending:
        work = plan.works[step.key]
        read, written = read + work.tokens_in, written + work.tokens_out
        line = plan.line(step)
        if isinstance(step.job, TrainJob):
            disk += parameters(study.models[work.model], folder) * BYTES_PER_PARAMETER
        else:
            disk += work.rows_in * line.bytes_out if line else work.rows_out * BYTES_OF_ROW
        if work.model:
            asked, kind = plan.kinds.asked(step), plan.kinds.of(step)
            spent, name = plan.seconds[step.key] / 3600 * asked.replicas, kind.name if kind else ""
            hours[name] = (hours[name][0] + asked.cpus * spent, hours[name][1] + asked.gpus * spent)
    return Bill(
        tokens_in=read,
        tokens_out=written,
        gpu_hours=None if any(plan.kinds.asked(step).gpus for step in unknown) else sum(g for _, g in hours.values()),
        disk_bytes=None if any(step.kind == "train" for step in unknown) else disk,
        hours=None if unknown else dict(hours),
    )


def timed(plan: Plan) -> Timed:
    """The unfinished steps with their planned seconds."""
    return [(step, plan.seconds[step.key]) for step in plan.pending]


def wall(plan: Plan, study: Study, cluster: Inventory) -> float | None:
    """Seconds that a run of the plan may take on a cluster; None if some of its steps' are unknown."""
    known = not any(step.key in plan.unknown for step in plan.pending)
    return together(timed(plan), study, cluster) + plan.overhead if known else None


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


def lower_bound(plan: Plan, study: Study, cluster: Inventory) -> float:
    """Seconds below which no order of the unfinished steps can get: all GPUs (or CPUs) always busy, or the longest
    step on as many replicas as its model may have. On the kinds of machines that the plan has chosen."""
    cpus = gpus = longest = 0.0
    for step in plan.pending:
        if not plan.works[step.key].model:
            continue
        asked = plan.kinds.asked(step)
        spent = plan.seconds[step.key] * asked.replicas
        cpus, gpus = cpus + spent * asked.cpus, gpus + spent * asked.gpus
        model = study.models[plan.works[step.key].model]
        grown = 0 if step.kind in ("train", "evaluate") else model.max_replicas or 0
        longest = max(longest, spent / max(asked.replicas, grown))
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

    def kinds(self, study: Study, folder: Path) -> Kinds:
        """The kinds of machines on which a study's steps will lie, by their prices on demand."""
        prices = {worker.name: self.hourly(worker, "on_demand") for worker in self.cluster.workers}
        known = {name: price for name, price in prices.items() if price is not None}
        return Kinds(study, folder, self.cluster.inventory(), known)


def money(bill: Bill, wall: float | None, offer: Offer, market: Market) -> float | None:
    """The price: of the machines that the steps lie on the shares that they take, and the head for `wall` seconds.

    None if time is unknown, the price file lacks a machine, or none of the cluster's holds a model. Machines that start
    or wait are not in it. The plan must have been made for the kinds of this offer.
    """
    head = offer.hourly(offer.cluster.head, "on_demand")
    if bill.hours is None or wall is None or head is None:
        return None
    machines, total = {worker.name: worker for worker in offer.cluster.workers}, head * wall / 3600
    for name, (cpus, gpus) in bill.hours.items():
        machine = machines.get(name)
        price = offer.hourly(machine, market) if machine else None
        if machine is None or price is None:
            return None
        total += price * (gpus / machine.gpus if machine.gpus else cpus / machine.cpus)
    return total
