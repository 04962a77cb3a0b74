"""The phases of a plan as a table: which models are in memory when, and how often one comes in."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from cluster.resources.inventory import Inventory
from cluster.resources.placement import check_fits
from pipelines.planning.plan import Plan
from pipelines.planning.requests import sizes
from pipelines.planning.residency.phases import Phase, loads, lower_bound, order
from pipelines.study.graph.step import ROW_WISE, Step, model_of
from pipelines.study.spec.study import Study


def show_phases(console: Console, study: Study, plan: Plan, cluster: Inventory) -> None:
    """Print the phases of the unfinished row-wise steps on a cluster; one line if all models fit side by side."""
    steps = plan.pending_of(*ROW_WISE)
    if not steps:
        return
    where = f"Phases on {_count(cluster.cpus, 'CPU')} and {_count(cluster.gpus, 'GPU')}"
    if misfits := _misfits(study, steps, cluster):
        others = f" (and {_count(len(misfits) - 1, 'other model')} can not be placed)" if misfits[1:] else ""
        remedy = "Plan for a cluster of another size with --cpus and --gpus."
        console.print(f"{where}: none. {misfits[0]}{others}. {remedy}\n", highlight=False, soft_wrap=True)
        return
    sized = sizes(study)
    phases = order(steps, sized, cluster)
    told = f"{where}: {_count(len(phases), 'phase')}, {_count(loads(phases), 'load')}"
    if len(phases) == 1:
        console.print(f"{told} ({', '.join(phases[0].loads)})\n", highlight=False, soft_wrap=True)
        return
    bound = lower_bound(steps, sized, cluster)
    console.print(f"{told}; no order has fewer than {bound}", highlight=False, soft_wrap=True)
    console.print(_table(phases, plan))


def _misfits(study: Study, steps: tuple[Step, ...], cluster: Inventory) -> list[str]:
    sized = sizes(study)
    return check_fits([sized[name] for name in dict.fromkeys(model_of(step) for step in steps)], cluster)


def _table(phases: tuple[Phase, ...], plan: Plan) -> Table:
    table = Table("phase", "models in memory", "comes in")
    for name in ("steps", "planned time"):
        table.add_column(name, justify="right")
    for number, phase in enumerate(phases, 1):
        models, new = ", ".join(phase.models), ", ".join(phase.loads)
        table.add_row(str(number), models, new, str(len(phase.steps)), plan.planned(phase.steps))
    return table


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
