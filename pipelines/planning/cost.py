"""Estimates of a study's cost: tokens, GPU-hours, disk space, and wall time and price on a given cluster."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from cluster.launch.description import Cloud, Description, Machine, Market
from cluster.launch.prices import Prices
from cluster.resources.inventory import Inventory
from pipelines.garbage import collection_paused
from pipelines.planning.machine_types import MachineTypes
from pipelines.planning.makespan import MakespanSimulation, TimedSteps
from pipelines.planning.model_size import BYTES_PER_PARAMETER, parameters
from pipelines.planning.plan import Plan
from pipelines.planning.requests import replica_requests
from pipelines.planning.residency.phases import order_phases
from pipelines.study.graph.steps.params.students import TrainParams
from pipelines.study.spec.study import Study

BYTES_PER_ROW = 600  # of a row in Parquet, without a measurement


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """The cost of the unfinished steps of a plan; None means unknown.

    `dollars` is what endpoints with a price cost. `hours` are (CPU-hours, GPU-hours) by machine type; "" collects steps
    that fit on no machine type.
    """

    tokens_in: float
    tokens_out: float
    gpu_hours: float | None
    disk_bytes: float | None
    hours: dict[str, tuple[float, float]] | None
    dollars: float = 0.0


def estimate_cost(study: Study, folder: Path, plan: Plan) -> CostEstimate:
    """Estimate the cost of the unfinished steps."""
    hours: dict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
    disk = read = written = dollars = 0.0
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
            if price := study.models[workload.model].price:
                dollars += price.dollars(workload.tokens_in, workload.tokens_out)
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
        dollars=dollars,
    )


def durations(plan: Plan) -> TimedSteps:
    """Return the unfinished steps with their planned seconds."""
    return [(step, plan.seconds[step.key]) for step in plan.pending]


def wall_seconds(plan: Plan, study: Study, cluster: Inventory) -> float | None:
    """Return the estimated seconds of a run of the plan on a cluster; None if those of a step are unknown."""
    known = not any(step.key in plan.unknown_steps for step in plan.pending)
    return makespan_of(durations(plan), study, cluster) + plan.overhead if known else None


@collection_paused()
def makespan_of(steps: TimedSteps, study: Study, cluster: Inventory) -> float:
    """Return the wall time in seconds: the steps before the stream, then its phases, then the students in parallel."""
    students = [(step, seconds) for step, seconds in steps if step.kind in ("train", "evaluate")]
    stream = {step.key: seconds for step, seconds in steps if step.params.row_wise}
    rest = sum(seconds for step, seconds in steps if not (step.params.row_wise or step.kind in ("train", "evaluate")))
    row_wise = [step for step, _ in steps if step.key in stream]
    phases = order_phases(row_wise, replica_requests(study), cluster)
    streamed = sum(_phase([(step, stream[step.key]) for step in phase.steps], study) for phase in phases)
    return rest + streamed + MakespanSimulation(students, study, cluster).makespan()


def _phase(steps: TimedSteps, study: Study) -> float:
    """Return the seconds of a phase. Models with GPUs run in parallel; those without share the CPUs."""
    busy: dict[str, float] = defaultdict(float)
    for step, seconds in steps:
        model = step.params.model
        busy[model if study.models[model].gpus else ""] += seconds
    return max(busy.values(), default=0.0)


def min_wall_seconds(plan: Plan, study: Study, cluster: Inventory) -> float:
    """Return a lower bound in seconds for any order of the unfinished steps, on the plan's machine types.

    It is the time with all GPUs (or CPUs) always busy, or that of the longest step with its model's maximum number of
    replicas.
    """
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
    """The prices of a cluster's machines at a cloud."""

    cluster: Description
    prices: Prices
    cloud: Cloud

    def hourly(self, machine: Machine, market: Market) -> float | None:
        """Return the price of a machine per hour; None if it is not in the price file."""
        return self.prices.hourly(self.cluster, self.cloud, machine, market)

    def machine_types(self, study: Study, folder: Path) -> MachineTypes:
        """Return the machine types for a study's steps, chosen by their on-demand prices."""
        prices = {worker.name: self.hourly(worker, "on_demand") for worker in self.cluster.workers}
        known = {name: price for name, price in prices.items() if price is not None}
        return MachineTypes(study, folder, self.cluster.inventory(), known)


def total_price(
    estimate: CostEstimate, run_seconds: float | None, price_list: PriceList, market: Market
) -> float | None:
    """Return the price: the used share of each machine, plus the head node for `run_seconds` seconds.

    Startup and idle time are excluded. The plan must use the machine types of this price list. Return None if the time
    is unknown, a machine is not in the price file, or a model fits on no machine of the cluster.
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
