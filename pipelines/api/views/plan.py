"""Prints a plan as tables: totals by kind, phases, costs, the steps, and the reasons why steps are not reused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cluster.plural import plural
from cluster.resources.inventory import Inventory
from pipelines.api.views.cost import over_budget, show_cost, unknown_times
from pipelines.api.views.phases import show_phases
from pipelines.api.views.search import show_search_cost
from pipelines.execution.trackers.registry import tracker_notes
from pipelines.planning.cost import PriceList, estimate_cost
from pipelines.planning.memory import oversized
from pipelines.planning.plan import Plan, prompt_notes
from pipelines.planning.reuse import ReuseExplainer
from pipelines.planning.seed_sets import seed_notes
from pipelines.store.store import Store
from pipelines.study.file.load import LoadedStudy
from pipelines.study.graph.steps.params.table import STEP_PARAMS
from pipelines.study.inputs.benchmarks import reference_notes
from pipelines.study.inputs.precision import precision_notes
from pipelines.study.inputs.templates import template_notes
from pipelines.study.locking.lock_file import lock_path
from pipelines.study.search_grid import search_grid

SHORT_COMMIT = 12
MAX_STEPS_LISTED = 120


@dataclass(frozen=True, slots=True)
class PlanView:
    """A study's plan, the store it is compared with, the cluster it is for, and that cluster's prices if known."""

    loaded: LoadedStudy
    plan: Plan
    store: Store
    cluster: Inventory
    price_list: PriceList | None = None


def show_plan(console: Console, view: PlanView, *, explain: bool, all_steps: bool) -> None:
    """Print a plan, with its phases and its cost on the cluster."""
    study, plan, grid = view.loaded.study, view.plan, view.plan.grid
    verb = "needs" if len(grid.cells) == 1 else "share"
    console.print(
        f"[bold]{study.study}[/bold]: {plural(len(grid.cells), 'cell')} {verb} {plural(len(grid.steps), 'step')}; "
        f"{len(plan.done)} are done, {len(plan.pending)} will run",
        highlight=False,
    )
    if note := pins_note(view.loaded):
        console.print(note, markup=False, highlight=False, soft_wrap=True)
    if study.is_sparse:
        console.print(_left_out_table(plan))
    if searched := search_grid(study, grid):
        show_search_cost(console, searched)
    for note in seed_notes(grid.steps, plan.done, view.loaded.folder, view.store):
        console.print(f"[yellow]note[/yellow] {escape(note)}", highlight=False)
    console.print(_summary_table(plan))
    show_phases(console, study, plan, view.cluster)
    show_cost(console, study, view.loaded.folder, plan, view.cluster, view.price_list)
    for note in study_notes(view):
        console.print(note, style="yellow", markup=False, highlight=False, soft_wrap=True)
    if len(grid.steps) <= MAX_STEPS_LISTED or all_steps:
        console.print(_steps_table(plan))
    else:
        console.print(f"{len(grid.steps)} steps: add --all to see each of them", highlight=False)
    if explain:
        _print_reasons(console, plan, view.store)


def warnings(view: PlanView) -> Iterator[str]:
    """Yield everything in a plan that its reader should know before a run, as text without markup."""
    study, plan, folder = view.loaded.study, view.plan, view.loaded.folder
    yield from seed_notes(plan.grid.steps, plan.done, folder, view.store)
    yield from (f"Does not fit: {problem}" for problem in oversized(study, folder, view.cluster))
    if plan.pending:
        yield from (f"Unknown: {problem}" for problem in unknown_times(study, plan))
        yield from over_budget(study, estimate_cost(study, folder, plan))
    yield from study_notes(view)


def pins_note(loaded: LoadedStudy) -> str:
    """Return which commits the study's lock file has given; empty without a lock file."""
    if not loaded.pins or loaded.path is None:
        return ""
    pins = ", ".join(f"{name} {commit[:SHORT_COMMIT]}" for name, commit in loaded.pins.items())
    return f"Pinned by {lock_path(loaded.path).name}: {pins}"


def study_notes(view: PlanView) -> Iterator[str]:
    """Yield a line for each thing in the study that works, but perhaps not as its author expects."""
    study, folder = view.loaded.study, view.loaded.folder
    yield from tracker_notes(study.trackers)
    yield from template_notes(study, folder)
    yield from reference_notes(study)
    yield from prompt_notes(view.loaded, view.plan.grid)
    if view.price_list is None:
        yield from precision_notes(study)


def _left_out_table(plan: Plan) -> Table:
    """Return the table of what `only` and `except` leave out, and of what each pattern matches."""
    table = Table("", title="The grid", title_justify="left")
    for name in ("data sets", "trainings", "evaluations"):
        table.add_column(name, justify="right")
    grid, left = plan.grid, plan.grid.left_out
    trained = [cell for cell in grid.cells if cell.train]
    taken = (len(grid.sets), len(trained), sum(len(cell.evaluations) for cell in trained))
    table.add_row("taken", *map(str, taken))
    table.add_row("left out", *map(str, (left.sets, left.cells, left.evaluations)))
    table.add_section()
    for block, matches in grid.matches.items():
        for one in matches:
            counts = map(str, (one.sets, one.cells, one.evaluations))
            table.add_row(escape(f"{block} {one.pattern.text}"), *counts)
    table.caption = "Of each pattern: what it matches. Untuned base models are not counted."
    return table


def _summary_table(plan: Plan) -> Table:
    table = Table("kind", title="By kind", title_justify="left")
    for name in ("done", "to run", "planned time"):
        table.add_column(name, justify="right")
    for kind in STEP_PARAMS:
        steps = [step for step in plan.grid.steps.values() if step.kind == kind]
        pending = plan.pending_of(kind)
        if steps:
            table.add_row(kind, str(len(steps) - len(pending)), str(len(pending)), plan.planned_time(pending))
    table.add_section()
    table.add_row(
        "all, one after another", str(len(plan.done)), str(len(plan.pending)), plan.planned_time(plan.pending)
    )
    table.caption = f"Times are estimates from {plan.basis}."
    return table


def _steps_table(plan: Plan) -> Table:
    table = Table("step", "key", "state", "needs", title="Steps", title_justify="left")
    for step in plan.grid.steps.values():
        state = "[green]done[/green]" if step.key in plan.done else f"will run, {plan.planned_time([step])}"
        needs = " ".join(needed.key[:8] for needed in step.inputs)
        table.add_row(step.label, step.key[:8], state, needs)
    return table


def _print_reasons(console: Console, plan: Plan, store: Store) -> None:
    explainer = ReuseExplainer(store)
    for step in plan.pending:
        console.print(f"[bold]{step.label}[/bold] ({step.key[:8]}): ", end="", highlight=False)
        console.print(explainer.explain(step), markup=False, highlight=False, soft_wrap=True)
