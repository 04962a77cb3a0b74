"""Optimizations of methods on a real Ray: both models on a stage, a step committed, or refused for want of room."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cluster.connection.session import connect
from cluster.errors import ClusterError
from cluster.resources.inventory import max_inventory
from pipelines.execution.runtime.context import RunContext
from pipelines.execution.runtime.progress import ProgressDisplay
from pipelines.execution.steps.method_optimization import run_optimizations
from pipelines.execution.steps.seeds import run_seeds
from pipelines.execution.stream.operators import read_best_methods
from pipelines.execution.stream.run import run_stream
from pipelines.planning.plan import Plan, make_plan
from pipelines.store.store import Store
from pipelines.study.spec.study import Study
from tests.support.studies import scripted_study


def study(**changes: Any) -> Study:
    optimization = {"optimizer": "large", "steps": 2, "candidates": 2, "dev": 6, "batch": 3}
    evolution = {"method": "auto-evol-instruct", "evolvers": ["small"], "optimization": optimization}
    return scripted_study(evolution=evolution, responses={"teachers": ["small"]}, scoring=None, **changes)


def go(made: Study, store: Store) -> tuple[Plan, str]:
    output = io.StringIO()
    with ProgressDisplay(Console(file=output, width=200)) as board, connect(None):
        plan = make_plan(made, Path(), store)
        context = RunContext(made, Path(), store, board, max_inventory())
        for step in plan.pending_of("seeds"):
            run_seeds(made, Path(), store, step)
        assert run_stream(context, run_optimizations(context, plan)).pending == ()
    return plan, output.getvalue()


@pytest.mark.usefixtures("ray_local")
class TestOptimize:
    def test_what_was_tried_is_a_step_and_the_rows_evolve_after_it(self, tmp_path: Path) -> None:
        store = Store(str(tmp_path))
        plan, told = go(study(), store)
        (step,) = plan.pending_of("optimize")
        account = store.manifest("optimize", step.key).account
        assert account.rows_in == 3 and account.rows_out > 0 and set(account.reasons) <= {"no_method_block"}
        assert f"optimize world small: 3 in, {account.rows_out} out" in told
        (evolve,) = plan.pending_of("evolve")
        assert "Instruction: {instruction}" in read_best_methods(store, [evolve])[evolve.key]
        assert store.manifest("evolve", evolve.key).account.rows_in == 20
        assert make_plan(study(), Path(), store).pending == ()

    def test_two_models_that_do_not_fit_together_are_refused_before_anything_loads(self, tmp_path: Path) -> None:
        models = {name: {"source": name, "engine": "scripted", "cpus": 60.0} for name in ("small", "large")}
        with pytest.raises(ClusterError, match="small and large run in the same step and need 120 CPUs"):
            go(study(models=models), Store(str(tmp_path)))
