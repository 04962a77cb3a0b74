"""What a study will take: tokens, GPU-hours, disk, and on a cluster of some size wall time and money."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from cluster.launch.description import Cloud, Description, Machine, Market
from cluster.launch.prices import Prices
from cluster.resources.inventory import Inventory
from pipelines.planning.machine_types import MachineTypes
from pipelines.planning.makespan import MakespanSimulation, TimedSteps
from pipelines.planning.model_size import BYTES_PER_PARAMETER, parameters
from pipelines.planning.plan import Plan
from pipelines.planning.requests import replica_requests
from pipelines.planning.residency.phases import order_phases
from pipelines.study.graph.params import TrainParams
from pipelines.study.spec.study import Study

BYTES_PER_ROW = 600  # of a row's Parquet, where nothing was measured


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """What the unfinished steps of a plan take; None is unknown.

    `hours` are those of CPUs and GPUs by the kind of machine that they are of; "" is for steps that none would hold.
    """

    tokens_in: float
    tokens_out: float
    gpu_hours: float | None
    disk_bytes: float | None
    hours: dict[str, tuple[float, float]] | None


def estimate_cost(study: Study, folder: Path, plan: Plan) -> CostEstimate:
    """The bill of what is still to be run."""
    hours: dict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
    disk = read = written = 0.0
    unknown = [step for step in plan.pending if step.key in plan.unknown_steps]
    for step in plan.pending:
        workload = plan.workloads[step.key]
        read, written = read + workload.tokens_in, written + workload.tokens_out
        cost = plan.cost_of(step)
        if isinstance(step.params, TrainParams):
            disk += parameters(study.models[workload.model], folder) * BYTES_PER_PARAMETER
        else:
            disk += workload.rows_in * cost.bytes_out if cost else workload.rows_out * BYTES_PER_ROW
        if workload.model:
            request, machine_type = plan.machine_types.request(step), plan.machine_types.type_of(step)
            spent_hours, name = (
                plan.seconds[step.key] / 3600 * request.replicas,
                machine_type.name if machine_type else "",
            )
            hours[name] = (hours[name][0] + request.cpus * spent_hours, hours[name][1] + request.gpus * spent_hours)
    return CostEstimate(
        tokens_in=read,
        tokens_out=written,
        gpu_hours=None
        if any(plan.machine_types.request(step).gpus for step in unknown)
        else sum(g for _, g in hours.values()),
        disk_bytes=None if any(step.kind == "train" for step in unknown) else disk,
        hours=None if unknown else dict(hours),
    )


def durations(plan: Plan) -> TimedSteps:
    """The unfinished steps with their planned seconds."""
    return [(step, plan.seconds[step.key]) for step in plan.pending]


def wall_seconds(plan: Plan, study: Study, cluster: Inventory) -> float | None:
    """Seconds that a run of the plan may take on a cluster; None if some of its steps' are unknown."""
    known = not any(step.key in plan.unknown_steps for step in plan.pending)
    return makespan_of(durations(plan), study, cluster) + plan.overhead if known else None


def makespan_of(steps: TimedSteps, study: Study, cluster: Inventory) -> float:
    """Seconds of the wall: steps before the stream, its phases, and students side by side, one after the other."""
    students = [(step, seconds) for step, seconds in steps if step.kind in ("train", "evaluate")]
    stream = {step.key: seconds for step, seconds in steps if step.params.row_wise}
    rest = sum(seconds for step, seconds in steps if not (step.params.row_wise or step.kind in ("train", "evaluate")))
    row_wise = [step for step, _ in steps if step.key in stream]
    phases = order_phases(row_wise, replica_requests(study), cluster)
    streamed = sum(_phase([(step, stream[step.key]) for step in phase.steps], study) for phase in phases)
    return rest + streamed + MakespanSimulation(students, study, cluster).makespan()


def _phase(steps: TimedSteps, study: Study) -> float:
    """Models with GPUs work side by side, those without share the CPUs."""
    busy: dict[str, float] = defaultdict(float)
    for step, seconds in steps:
        model = step.params.model
        busy[model if study.models[model].gpus else ""] += seconds
    return max(busy.values(), default=0.0)


def min_wall_seconds(plan: Plan, study: Study, cluster: Inventory) -> float:
    """Seconds below which no order of the unfinished steps can get: all GPUs (or CPUs) always busy, or the longest
    step on as many replicas as its model may have. On the kinds of machines that the plan has chosen."""
    cpus = gpus = longest = 0.0
    for step in plan.pending:
        if not plan.workloads[step.key].model:
            continue
        request = plan.machine_types.request(step)
        replica_seconds = plan.seconds[step.key] * request.replicas
        cpus, gpus = cpus + replica_seconds * request.cpus, gpus + replica_seconds * request.gpus
        model = study.models[plan.workloads[step.key].model]
        max_replicas = 0 if step.kind in ("train", "evaluate") else model.max_replicas or 0
        longest = max(longest, replica_seconds / max(request.replicas, max_replicas))
    return max(longest, *(wanted / room for wanted, room in ((cpus, cluster.cpus), (gpus, cluster.gpus)) if room))


@dataclass(frozen=True, slots=True)
class PriceList:
    """Whose machines the money is for."""

    cluster: Description
    prices: Prices
    cloud: Cloud

    def hourly(self, machine: Machine, market: Market) -> float | None:
        """The price of a machine; None if the price file lacks it."""
        return self.prices.hourly(self.cluster, self.cloud, machine, market)

    def machine_types(self, study: Study, folder: Path) -> MachineTypes:
        """The kinds of machines on which a study's steps will lie, by their prices on demand."""
        prices = {worker.name: self.hourly(worker, "on_demand") for worker in self.cluster.workers}
        known = {name: price for name, price in prices.items() if price is not None}
        return MachineTypes(study, folder, self.cluster.inventory(), known)


def total_price(
    estimate: CostEstimate, run_seconds: float | None, price_list: PriceList, market: Market
) -> float | None:
    """The price: of the machines that the steps lie on the shares that they take, and the head for `run_seconds`
    seconds.

    None if time is unknown, the price file lacks a machine, or none of the cluster's holds a model. Machines that start
    or wait are not in it. The plan must have been made for the kinds of this offer.
    """
    head = price_list.hourly(price_list.cluster.head, "on_demand")
    if estimate.hours is None or run_seconds is None or head is None:
        return None
    machines, total = {worker.name: worker for worker in price_list.cluster.workers}, head * run_seconds / 3600
    for name, (cpus, gpus) in estimate.hours.items():
        machine = machines.get(name)
        price = price_list.hourly(machine, market) if machine else None
        if machine is None or price is None:
            return None
        total += price * (gpus / machine.gpus if machine.gpus else cpus / machine.cpus)
    return total
