"""Prints the phases of a plan: which models are in memory in each phase, and which it loads."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from cluster.plural import plural
from cluster.resources.inventory import Inventory
from cluster.resources.placement import check_fits
from pipelines.planning.plan import Plan
from pipelines.planning.requests import replica_requests
from pipelines.planning.residency.phases import Phase, min_model_loads, model_loads, order_phases
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.study import Study


def show_phases(console: Console, study: Study, plan: Plan, cluster: Inventory) -> None:
    """Print the phases of the unfinished row-wise steps on a cluster, or one line if all models fit at once."""
    steps = plan.pending_row_wise
    if not steps:
        return
    where = f"Phases on {plural(cluster.cpus, 'CPU')} and {plural(cluster.gpus, 'GPU')}"
    if oversized := _unplaceable(study, steps, cluster):
        others = f" (and {plural(len(oversized) - 1, 'other model')} cannot be placed)" if oversized[1:] else ""
        remedy = "To plan for a cluster of another size, use --cpus and --gpus."
        console.print(f"{where}: none. {oversized[0]}{others}. {remedy}\n", highlight=False, soft_wrap=True)
        return
    requests = replica_requests(study)
    phases = order_phases(steps, requests, cluster)
    heading = f"{where}: {plural(len(phases), 'phase')}, {plural(model_loads(phases), 'load')}"
    if len(phases) == 1:
        console.print(f"{heading} ({', '.join(phases[0].model_loads)})\n", highlight=False, soft_wrap=True)
        return
    bound = min_model_loads(steps, requests, cluster)
    console.print(f"{heading}; every order needs at least {bound}", highlight=False, soft_wrap=True)
    console.print(_phases_table(phases, plan))


def _unplaceable(study: Study, steps: tuple[Step, ...], cluster: Inventory) -> list[str]:
    requests = replica_requests(study)
    return check_fits([requests[name] for name in dict.fromkeys(step.params.model for step in steps)], cluster)


def _phases_table(phases: tuple[Phase, ...], plan: Plan) -> Table:
    table = Table("phase", "models in memory", "loads")
    for name in ("steps", "planned time"):
        table.add_column(name, justify="right")
    for number, phase in enumerate(phases, 1):
        models, new = ", ".join(phase.models), ", ".join(phase.model_loads)
        table.add_row(str(number), models, new, str(len(phase.steps)), plan.planned_time(phase.steps))
    return table
