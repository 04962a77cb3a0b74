"""Runs the search of a study: the phases of a run for a growing part of its plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from rich.markup import escape

from cluster.plural import plural
from cluster.resources.placement import ClusterCapacity
from pipelines.execution.runtime.context import RunContext
from pipelines.execution.runtime.events import emit
from pipelines.execution.search.decisions import SearchRun
from pipelines.execution.search.priors import read_priors
from pipelines.execution.search.scores import PairedTest, read_scores
from pipelines.planning.plan import Plan
from pipelines.planning.requests import FreeCapacity, capacity_beside_evaluator, evaluator_request, training_request
from pipelines.search.finals import SeededCell
from pipelines.store.probes import load_probe
from pipelines.store.studies.search_log import SearchDecision
from pipelines.study.graph.steps.params.students import TrainParams
from pipelines.study.search_grid import SearchGrid, Values

RunPhases = Callable[[RunContext, Plan], tuple[Plan, list[str]]]


def run_search(context: RunContext, plan: Plan, grid: SearchGrid, run_phases: RunPhases) -> tuple[Plan, list[str]]:
    """Run a search; return the plan after it, in which skipped and failed steps are pending, and messages of failures.

    `run_phases` runs the pending steps of a plan.
    """
    lab = StudyLaboratory(context, plan, grid, run_phases)
    lab.run_steps(grid.base_goals())
    search = SearchRun(grid, context.store, lab)
    known = {verdict.text for decision in search.made for verdict in decision.rungs}
    search.run(lambda decision: _show(context, decision, known))
    return lab.plan, [*dict.fromkeys(lab.failures)]


class StudyLaboratory:
    """Carries out the decisions of a search on the run's cluster."""

    def __init__(self, context: RunContext, plan: Plan, grid: SearchGrid, run_phases: RunPhases) -> None:
        self.context, self.plan, self.grid, self.run_phases = context, plan, grid, run_phases
        self.failures: list[str] = []
        self.room = cells_at_once(context, plan, grid)

    def probe(self) -> Mapping[str, Values]:
        """Have all arms answer the first seeds, unless they have; return the priors' values."""
        seeds, store = self.grid.search.probe, self.context.store
        if not self.grid.search.prior:
            return {}
        steps = [self.plan.grid.steps[key] for key in self.grid.probe_goals() - self.plan.done]
        probes = {step.key: load_probe(store, step.kind, step.key) for step in steps}
        goals = {key for key, found in probes.items() if found is None or found.seeds < seeds}
        if goals:
            probed = self.plan.limited_to(goals).limited_to_probe()
            self.context.progress.print(f"search: all arms answer the first {plural(seeds, 'seed')}")
            self.run_phases(replace(self.context, probed_seeds=seeds), probed)
            self.plan = self.plan.with_finished(store.finished_keys())
        return read_priors(self.grid, store)

    def train(self, cells: Sequence[SeededCell]) -> None:
        """Train and evaluate some cells, with all that they need and that measures their data sets."""
        self.run_steps(self.grid.goals(cells))

    def run_steps(self, goals: set[str]) -> None:
        """Run some steps and all that they need. Messages of failures are added to `failures`."""
        limited = self.plan.limited_to(goals)
        if limited.pending:
            _, failures = self.run_phases(self.context, limited)
            self.failures += failures
            self.plan = self.plan.with_finished(self.context.store.finished_keys())

    def scores(self) -> Mapping[SeededCell, float]:
        """Return the scores of all cells that are trained and evaluated."""
        return read_scores(self.grid, self.context.store, self.context.folder)

    def p_value(self, students: Sequence[str]) -> Callable[[str, str], float | None]:
        """Return the paired test of two arms for some students."""
        return PairedTest(self.grid, self.context.store, students).p_value


def cells_at_once(context: RunContext, plan: Plan, grid: SearchGrid) -> int:
    """Return how many cells of a search the cluster trains at the same time; at least 1."""
    per_cell = max(len(found) for found in grid.trainings.values())
    trains = [step.params for step in plan.grid.steps.values() if isinstance(step.params, TrainParams)]
    requests = [training_request(context.study, params) for params in trains]
    evaluations = [step for step in plan.grid.steps.values() if step.kind == "evaluate"]
    cluster = ClusterCapacity(context.cluster)
    free = (
        capacity_beside_evaluator(evaluator_request(context.study, evaluations), requests, cluster)
        if evaluations
        else FreeCapacity(cluster)
    )
    largest = max(requests, key=lambda request: (request.gpus * request.replicas, request.cpus * request.replicas))
    count = 1
    while count < len(grid.space.cells) * per_cell and free.fits([largest] * (count + 1)):
        count += 1
    return max(1, count // per_cell)


def _show(context: RunContext, decision: SearchDecision, known: set[str]) -> None:
    """Print and log a decision. Its verdicts are printed unless their texts are `known`, and added to these."""
    for verdict in decision.rungs:
        if verdict.text not in known:
            context.progress.print(f"search: partial trainings on {escape(verdict.text)}")
            emit("search judged partial trainings", **verdict.model_dump())
            known.add(verdict.text)
    risks = ", ".join(f"{' + '.join(group.students)} {group.risk:.2f}" for group in decision.groups)
    asked = ", ".join(one.text for one in decision.cells)
    text = f"trains {asked}" if asked else "ends"
    context.progress.print(f"search: {escape(text)}; risk of a better arm: {escape(risks)}")
    emit("search decided", number=decision.number, reason=decision.reason, cells=len(decision.cells), risks=risks)
