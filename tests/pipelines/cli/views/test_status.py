"""Where a study stands, from its store alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from pipelines.cli.views.status import show_status
from pipelines.execution.runtime.commit import commit_rows
from pipelines.planning.plan import make_plan
from pipelines.store.store import Store
from tests.support.studies import scripted_study


def test_finished_steps_are_held_against_their_plan_the_furthest_first(tmp_path: Path) -> None:
    store, study = Store(str(tmp_path)), scripted_study()
    evolving = make_plan(study, Path(), store).pending_of("evolve")
    for step, took in zip(evolving, (11.0, 90.0, 1.0, 10.0), strict=True):
        commit_rows(store, step, [], [], 0, took)
    plan = make_plan(study, Path(), store)
    console = Console(record=True, width=160, quiet=False)
    show_status(console, store, "scripted", replace(plan, seconds=dict.fromkeys(plan.seconds, 10.0)))
    told = console.export_text().split("Largest deviations from the plan")[1]
    places = [told.index(evolving[number].label) for number in (1, 2, 0, 3)]
    assert places == sorted(places)
    assert "90.0 s" in told and "10.0 s" in told
