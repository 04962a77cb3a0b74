"""What a plan foretells: tokens and hours from the study, time from a profile, money from a price file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cluster.inventory import GIB, Inventory, Node
from cluster.launch.description import load
from cluster.prices import load as load_prices
from pipelines.bill import Offer, lower_bound, make_bill, money, timed, together
from pipelines.plan import Plan, make_plan
from pipelines.profile import Profile
from pipelines.show_bill import show_bill
from pipelines.store.store import Store
from pipelines.study.spec import Study
from pipelines.study.workload import Line, role
from tests.cluster.test_footprint import LLAMA_8B
from tests.pipelines.studies import STUDENTS, scripted_study

HERE = Path()
TWO = Inventory((Node("here", 2, 0, 8 * GIB),))


def planned(store: Path, **changes: Any) -> tuple[Study, Plan]:
    study = scripted_study(**changes)
    return study, make_plan(study, HERE, Store(str(store)))


def with_seconds(plan: Plan, seconds: dict[str, float]) -> Plan:
    """The plan with so many seconds for each step of a kind."""
    return replace(plan, seconds={key: seconds.get(step.kind, 0.0) for key, step in plan.grid.steps.items()})


def test_tokens_follow_from_rows_rounds_and_teachers(tmp_path: Path) -> None:
    study, plan = planned(tmp_path)
    once = make_bill(study, HERE, plan)
    study, plan = planned(tmp_path, seeds=[{"name": "world", "world": {"count": 40}}])
    twice = make_bill(study, HERE, plan)
    assert once.tokens_out == 60 * 20 * (4 + 2 * 5)  # 2 evolvers x 2 rounds, and 2 teachers for these and the seeds
    assert (twice.tokens_in, twice.tokens_out) == (2 * once.tokens_in, 2 * once.tokens_out)


def test_a_finished_step_is_no_part_of_the_bill(tmp_path: Path) -> None:
    study, plan = planned(tmp_path)
    rest = replace(plan, pending=tuple(step for step in plan.pending if step.kind != "evolve"))
    assert make_bill(study, HERE, rest).tokens_out < make_bill(study, HERE, plan).tokens_out


def test_models_on_cpus_share_them_and_models_on_gpus_work_side_by_side(tmp_path: Path) -> None:
    seconds = {"evolve": 10.0, "respond": 10.0, "score": 10.0}
    study, plan = planned(tmp_path)
    steps = sum(step.kind in seconds for step in plan.pending)
    assert together(timed(with_seconds(plan, seconds)), study, TWO) == pytest.approx(10 * steps)
    models = {name: {"source": name, "engine": "scripted", "gpus": 1} for name in ("small", "large", "scorer")}
    study, plan = planned(tmp_path, models=models)
    gpus = Inventory((Node("gpus", 16, 8, 64 * GIB, "L4"),))
    assert together(timed(with_seconds(plan, seconds)), study, gpus) == pytest.approx(100)  # the scorer's ten steps


def test_students_are_trained_side_by_side_and_examined_in_turn(tmp_path: Path) -> None:
    models = {name: {"source": name, "engine": "scripted", "cpus": 0.5} for name in ("small", "large", "scorer")}
    study, plan = planned(tmp_path, models=models, **STUDENTS)
    trainings = len(plan.pending_of("train"))
    timed_plan = with_seconds(plan, {"train": 10.0, "evaluate": 1.0})
    wall = together(timed(timed_plan), study, room := TWO)  # of half a CPU each: three, and the examiner
    assert 10 * trainings / 3 <= wall <= 10 * trainings / 3 + 20
    assert lower_bound(timed_plan, study, room) <= wall


def test_long_evaluations_are_planned_side_by_side_and_short_ones_in_turn(tmp_path: Path) -> None:
    models = {name: {"source": name, "engine": "scripted", "cpus": 0.5} for name in ("small", "large", "scorer")}
    study, plan = planned(tmp_path, models=models, **STUDENTS)
    exams = len(plan.pending_of("evaluate"))
    side_by_side = together(timed(with_seconds(plan, {"evaluate": 100.0})), study, TWO)
    assert 100 * exams / 4 <= side_by_side <= 100 * exams / 4 + 200
    assert together(timed(with_seconds(plan, {"evaluate": 0.5})), study, TWO) == pytest.approx(0.5 * exams)


def test_without_room_for_both_a_training_and_an_examiner_take_turns(tmp_path: Path) -> None:
    models = {name: {"source": name, "engine": "scripted", "cpus": 2} for name in ("small", "large", "scorer")}
    study, plan = planned(tmp_path, models=models, **STUDENTS)
    wall = together(timed(with_seconds(plan, {"train": 10.0, "evaluate": 1.0})), study, TWO)
    assert wall == 10 * len(plan.pending_of("train")) + len(plan.pending_of("evaluate"))


def test_a_plan_is_made_from_the_stores_profile_and_says_so(tmp_path: Path) -> None:
    _, plan = planned(tmp_path)
    assert "without a profile" in plan.basis
    line = Line(fixed=1, per_row=2, rows_out=0.5, tokens_in=10, tokens_out=5, bytes_out=100)
    lines = {role(step): line for step in plan.pending}
    profile = Profile(created="2026-01-02T00:00:00", cpus=2, gpus=0, overhead=7.0, lines=lines)
    Store(str(tmp_path)).write_bytes(f"{tmp_path}/studies/scripted/profile.json", profile.model_dump_json().encode())
    _, plan = planned(tmp_path)
    first = next(step for step in plan.pending if step.kind == "evolve")
    assert plan.seconds[first.key] == 1 + 2 * 20
    second = next(step for step in plan.pending if step.inputs == (first,) and step.kind == "evolve")
    assert plan.seconds[second.key] == 1 + 2 * 10  # half of the rows come out of the first
    assert "a profile on 2 CPUs and 0 GPUs, 2026-01-02" in plan.basis and plan.overhead == 7.0


def offered(tmp_path: Path) -> tuple[Study, Path, Offer]:
    (tmp_path / "llama").mkdir()
    (tmp_path / "llama" / "config.json").write_text(json.dumps(LLAMA_8B))
    llama = {"source": "llama", "gpus": 1, "engine": "transformers"}
    models = dict.fromkeys(("small", "large", "scorer"), llama)
    return scripted_study(models=models), tmp_path, Offer(load(), load_prices(), "aws")


def test_money_is_hours_on_the_cheapest_machine_that_holds_the_model(tmp_path: Path) -> None:
    study, folder, offer = offered(tmp_path)
    plan = with_seconds(make_plan(study, folder, Store(str(tmp_path / "store"))), {"respond": 1200.0})  # 3 steps
    bill = make_bill(study, folder, plan)
    assert bill.gpu_hours == pytest.approx(1.0)
    l4, head = 0.9776, 0.2016
    assert money(bill, study, folder, 1800.0, offer, "on_demand") == pytest.approx(l4 * 1.0 + head * 0.5)
    spot = money(bill, study, folder, 1800.0, offer, "spot")
    assert spot is not None and spot < l4 + head * 0.5


def test_without_a_machine_that_holds_it_there_is_no_price(tmp_path: Path) -> None:
    study, folder, offer = offered(tmp_path)
    cpus = offer.cluster.model_copy(update={"workers": offer.cluster.workers[:1]})
    plan = with_seconds(make_plan(study, folder, Store(str(tmp_path / "store"))), {"respond": 1200.0})  # 3 steps
    assert money(make_bill(study, folder, plan), study, folder, 1.0, replace(offer, cluster=cpus), "spot") is None


def test_the_bill_is_shown_with_its_basis_prices_and_what_does_not_fit(tmp_path: Path) -> None:
    study, folder, offer = offered(tmp_path)
    plan, console = (
        make_plan(study, folder, Store(str(tmp_path / "store"))),
        Console(record=True, width=160, quiet=False),
    )
    show_bill(console, study, folder, plan, Inventory((Node("t4", 4, 1, 16 * GIB, "T4"),)), offer)
    shown = console.export_text()
    assert "published throughputs" in shown and "prices of 2025-07-01" in shown and "GPU-hours" in shown
    assert "Does not fit: small takes about" in shown
