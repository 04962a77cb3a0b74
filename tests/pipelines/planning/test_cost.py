"""What a plan foretells: tokens and hours from the study, time from a profile, money from a price file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cluster.launch.description import load
from cluster.launch.prices import load as load_prices
from cluster.resources.inventory import GIB, Inventory, Node
from pipelines.api.views.cost import show_cost
from pipelines.planning.cost import (
    CostEstimate,
    PriceList,
    durations,
    estimate_cost,
    makespan_of,
    min_wall_seconds,
    total_price,
    wall_seconds,
)
from pipelines.planning.estimate import MODEL_STEP_OVERHEAD_SECONDS, RUN_START_SECONDS
from pipelines.planning.machine_types import MachineTypes
from pipelines.planning.plan import Plan, make_plan
from pipelines.planning.profile import Profile
from pipelines.planning.workload import CostSetting, LinearCost, workload_class
from pipelines.store.store import Store
from pipelines.study.graph.steps.fingerprint import fingerprint
from pipelines.study.graph.steps.identities import model_identity
from pipelines.study.spec.study import Study
from tests.cluster.resources.test_memory_footprint import LLAMA_8B, QWEN_72B
from tests.support.studies import STUDENTS, scripted_study

HERE = Path()
TWO = Inventory((Node("here", 2, 0, 8 * GIB),))


def planned(store: Path, **changes: Any) -> tuple[Study, Plan]:
    study = scripted_study(**changes)
    return study, make_plan(study, HERE, Store(str(store)))


def with_seconds(plan: Plan, seconds: dict[str, float]) -> Plan:
    """Return the plan with these seconds for each step, by kind of step."""
    return replace(plan, seconds={key: seconds.get(step.kind, 0.0) for key, step in plan.grid.steps.items()})


def cost_of_seeds(folder: Path, count: int) -> CostEstimate:
    """Return what `count` seeds without answers cost, of 60 tokens each."""
    file = folder / f"{count}.jsonl"
    file.write_text("".join(json.dumps({"instruction": f"{number:0240}"}) + "\n" for number in range(count)))
    study, plan = planned(folder, seeds=[{"name": "lines", "file": str(file)}])
    return estimate_cost(study, HERE, plan)


def test_tokens_follow_from_rows_rounds_and_teachers(tmp_path: Path) -> None:
    once, twice = (cost_of_seeds(tmp_path, count) for count in (20, 40))
    assert once.tokens_out == 60 * 20 * (4 + 2 * 5)  # 2 evolvers x 2 rounds, and 2 teachers for these and the seeds
    assert (twice.tokens_in, twice.tokens_out) == (2 * once.tokens_in, 2 * once.tokens_out)


def test_a_finished_step_is_no_part_of_the_bill(tmp_path: Path) -> None:
    study, plan = planned(tmp_path)
    rest = replace(plan, pending=tuple(step for step in plan.pending if step.kind != "evolve"))
    assert estimate_cost(study, HERE, rest).tokens_out < estimate_cost(study, HERE, plan).tokens_out


def test_models_on_cpus_share_them_and_models_on_gpus_work_side_by_side(tmp_path: Path) -> None:
    seconds = {"evolve": 10.0, "respond": 10.0, "score": 10.0}
    study, plan = planned(tmp_path)
    steps = sum(step.kind in seconds for step in plan.pending)
    assert makespan_of(durations(with_seconds(plan, seconds)), study, TWO) == pytest.approx(10 * steps)
    models = {name: {"source": name, "engine": "scripted", "gpus": 1} for name in ("small", "large", "scorer")}
    study, plan = planned(tmp_path, models=models)
    gpus = Inventory((Node("gpus", 16, 8, 64 * GIB, "L4"),))
    assert makespan_of(durations(with_seconds(plan, seconds)), study, gpus) == pytest.approx(
        100
    )  # the scorer's ten steps


def test_students_are_trained_side_by_side_and_examined_in_turn(tmp_path: Path) -> None:
    models = {name: {"source": name, "engine": "scripted", "cpus": 0.5} for name in ("small", "large", "scorer")}
    study, plan = planned(tmp_path, models=models, **STUDENTS)
    trainings = len(plan.pending_of("train"))
    timed_plan = with_seconds(plan, {"train": 10.0, "evaluate": 1.0})
    wall = makespan_of(durations(timed_plan), study, room := TWO)  # three trainings of half a CPU, and the evaluator
    assert 10 * trainings / 3 <= wall <= 10 * trainings / 3 + 20
    assert min_wall_seconds(timed_plan, study, room) <= wall


def test_long_evaluations_are_planned_side_by_side_and_short_ones_in_turn(tmp_path: Path) -> None:
    models = {name: {"source": name, "engine": "scripted", "cpus": 0.5} for name in ("small", "large", "scorer")}
    study, plan = planned(tmp_path, models=models, **STUDENTS)
    exams = len(plan.pending_of("evaluate"))
    side_by_side = makespan_of(durations(with_seconds(plan, {"evaluate": 100.0})), study, TWO)
    assert 100 * exams / 4 <= side_by_side <= 100 * exams / 4 + 200
    assert makespan_of(durations(with_seconds(plan, {"evaluate": 0.5})), study, TWO) == pytest.approx(0.5 * exams)


def test_without_room_for_both_a_training_and_an_examiner_take_turns(tmp_path: Path) -> None:
    models = {name: {"source": name, "engine": "scripted", "cpus": 2} for name in ("small", "large", "scorer")}
    study, plan = planned(tmp_path, models=models, **STUDENTS)
    wall = makespan_of(durations(with_seconds(plan, {"train": 10.0, "evaluate": 1.0})), study, TWO)
    assert wall == 10 * len(plan.pending_of("train")) + len(plan.pending_of("evaluate"))


def test_a_step_on_more_replicas_is_no_shorter_than_the_bound(tmp_path: Path) -> None:
    model = {"source": "x", "engine": "scripted", "cpus": 0.1}
    models = {"small": model | {"replicas": 2, "max_replicas": 8}, "large": model, "scorer": model}
    study, plan = planned(tmp_path, models=models)
    step = next(step for step in plan.pending if step.kind == "evolve" and step.params.model == "small")
    slow = replace(plan, seconds=dict.fromkeys(plan.grid.steps, 0.0) | {step.key: 80.0})
    assert min_wall_seconds(slow, study, Inventory((Node("large", 64, 0, 64 * GIB),))) == pytest.approx(20)


def test_a_plan_is_made_from_the_stores_profile_and_says_so(tmp_path: Path) -> None:
    _, plan = planned(tmp_path)
    assert "without a profile" in plan.basis
    profiled(tmp_path, plan)
    _, plan = planned(tmp_path)
    first = next(step for step in plan.pending if step.kind == "evolve")
    assert plan.seconds[first.key] == 1 + 2 * 20
    second = next(step for step in plan.pending if step.inputs == (first,) and step.kind == "evolve")
    assert plan.seconds[second.key] == 1 + 2 * 10  # half of the rows come out of the first
    assert "a profile on 2 CPUs and 0 GPUs, 2026-01-02" in plan.basis and plan.overhead == 7.0


def profiled(store: Path, plan: Plan, **setting: Any) -> None:
    """Keep a profile of all of the plan's steps; `setting` is in what it differs from today's."""
    lines: dict[str, LinearCost] = {}
    for step in plan.pending:
        name, made = step.params.model, None
        if name:
            asked, weights = (
                plan.machine_types.request(step),
                fingerprint(model_identity(plan.machine_types.study.models[name], HERE)),
            )
            now = {"model": weights, "gpus": asked.gpus * asked.replicas, "gpu": None}
            made = CostSetting.model_validate(now | setting)
        lines[workload_class(step)] = LinearCost(
            setting=made, fixed=1, per_row=2, rows_out=0.5, tokens_in=10, tokens_out=5, bytes_out=100
        )
    profile = Profile(created="2026-01-02T00:00:00", cpus=2, gpus=0, overhead=7.0, lines=lines)
    Store(str(store)).write_bytes(f"{store}/studies/scripted/profile.json", profile.model_dump_json().encode())


def test_what_was_measured_of_another_model_of_that_name_is_not_used(tmp_path: Path) -> None:
    _, plan = planned(tmp_path)
    profiled(tmp_path, plan)
    model = {"engine": "scripted", "cpus": 0.1}
    models = {name: {"source": name, **model} for name in ("small", "large", "scorer")}
    _, plan = planned(tmp_path, models=models | {"large": {"source": "much larger", **model}})
    mine = {name: [s for s in plan.pending if s.params.model == name] for name in models}
    assert all(plan.seconds[step.key] > 1 for step in (*mine["small"], *mine["scorer"]))
    assert all(plan.seconds[step.key] < 1 for step in mine["large"])
    assert "a profile on 2 CPUs" in plan.basis and "large has other weights or settings" in plan.basis
    assert "small" not in plan.basis


@pytest.mark.parametrize(
    ("then", "told"),
    [
        ({"gpu": "L4"}, None),
        ({"gpu": "H100"}, "was measured on GPUs of type H100 and will run on L4"),
        ({"gpu": None}, "was measured on GPUs of type unknown and will run on L4"),
        ({"gpu": None, "gpus": 0.0}, "was measured on 0 GPUs and will have 1"),
    ],
)
def test_what_was_measured_on_other_gpus_is_not_used_for_a_cluster(
    tmp_path: Path, then: dict[str, Any], told: str | None
) -> None:
    models = {name: {"source": name, "engine": "scripted", "gpus": 1} for name in ("small", "large", "scorer")}
    study, plan = planned(tmp_path, models=models)
    profiled(tmp_path, plan, **then)
    cluster = Inventory((Node("l4", 8, 1, 32 * GIB, "L4"),))
    plan = make_plan(study, HERE, Store(str(tmp_path)), MachineTypes(study, HERE, cluster))
    assert set(plan.mismatches.values()) == ({told} if told else set())
    assert ("published throughputs (GPUs: L4)" in plan.basis) == bool(told)


def offered(tmp_path: Path, config: dict[str, Any] = LLAMA_8B, **changes: Any) -> tuple[Study, Path, PriceList]:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "config.json").write_text(json.dumps(config))
    model = {"source": "folder", "gpus": 1, "engine": "transformers"} | changes
    models = dict.fromkeys(("small", "large", "scorer"), model)
    return scripted_study(models=models), tmp_path, PriceList(load(), load_prices(), "aws")


def planned_for(offer: PriceList, study: Study, folder: Path) -> Plan:
    return make_plan(study, folder, Store(str(folder / "store")), offer.machine_types(study, folder))


def test_time_is_that_of_the_gpus_that_hold_the_model(tmp_path: Path) -> None:
    study, folder, offer = offered(tmp_path, LLAMA_8B | {"num_hidden_layers": 60})  # 15 billion: too many for an L4
    plan, unknown = planned_for(offer, study, folder), make_plan(study, folder, Store(str(tmp_path / "store")))
    step = next(step for step in plan.pending if step.kind == "respond")
    on_l4, on_h100 = (each.seconds[step.key] - MODEL_STEP_OVERHEAD_SECONDS for each in (unknown, plan))
    assert on_l4 / on_h100 == pytest.approx(3350 / 300)  # their memory bandwidths
    assert "GPUs: H100)" in plan.basis and "GPUs: taken for L4s)" in unknown.basis
    bill = estimate_cost(study, folder, plan)
    assert bill.hours is not None and bill.hours.keys() == {"h100"}
    assert total_price(bill, 0.0, offer, "on_demand") == pytest.approx(bill.hours["h100"][1] * 55.04 / 8)


def test_a_training_is_as_fast_as_its_workers_and_not_as_its_models_replicas(tmp_path: Path) -> None:
    study, folder, _ = offered(tmp_path, replicas=3)
    changes = {name: STUDENTS[name] for name in ("recipes", "benchmarks")} | {"models": study.models}
    seconds: list[float] = []
    for workers in (1, 4):
        student = {"model": "small", "recipe": "full", "workers": workers, "gpus": 1}
        plan = make_plan(scripted_study(**changes, students=[student]), folder, Store(str(tmp_path / "store")))
        seconds.append(plan.seconds[plan.pending_of("train")[0].key] - 1)  # its overhead
    assert seconds[0] == pytest.approx(4 * seconds[1])


def test_a_model_lies_on_the_kind_of_gpu_that_it_asks_for_and_costs_its_time(tmp_path: Path) -> None:
    study, folder, offer = offered(tmp_path, accelerator="H100")
    plan, alone = planned_for(offer, study, folder), make_plan(study, folder, Store(str(tmp_path / "store")))
    bill = estimate_cost(study, folder, plan)
    assert bill.hours is not None and bill.hours.keys() == {"h100"}
    assert plan.seconds == alone.seconds and "(GPUs: H100)" in alone.basis  # known without a cluster, too


@pytest.mark.parametrize(
    ("engine", "gpus", "layers", "workers", "kind"),
    [
        ("transformers", 4, 8, 3, "h100"),  # a replica lies on one node, also where less memory would do
        ("vllm", 4, 8, 3, "h100"),
        ("transformers", 4, 8, 2, None),  # of a cluster without the H100s
        ("vllm", 4, 8, 2, "l4"),  # GPU by GPU on several nodes, as none has four
        ("vllm", 16, 320, 3, "h100"),
        ("vllm", 16, 320, 2, None),  # no L4 holds a sixteenth of it
    ],
)
def test_a_replica_of_several_gpus_lies_where_placement_puts_it(
    tmp_path: Path, engine: str, gpus: int, layers: int, workers: int, kind: str | None
) -> None:
    config = QWEN_72B | {"num_hidden_layers": layers}
    study, folder, offer = offered(tmp_path, config, engine=engine, gpus=gpus)
    offer = replace(offer, cluster=offer.cluster.model_copy(update={"workers": offer.cluster.workers[:workers]}))
    plan = planned_for(offer, study, folder)
    found = {plan.machine_types.type_of(step) for step in plan.pending if plan.workloads[step.key].model}
    assert {node and node.name for node in found} == {kind}


def test_a_model_of_unknown_size_makes_time_and_money_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.planning.model_size.model_config", lambda source, revision: None)  # no hub at hand
    hub = {"source": "org/large", "revision": "0" * 40, "gpus": 1, "engine": "transformers"}
    small = {"source": "small", "engine": "scripted", "cpus": 0.1}
    study = scripted_study(models={"small": small, "large": hub, "scorer": small})
    offer = PriceList(load(), load_prices(), "aws")
    plan = planned_for(offer, study, tmp_path)
    bill = estimate_cost(study, tmp_path, plan)
    assert (bill.gpu_hours, wall_seconds(plan, study, TWO), total_price(bill, None, offer, "spot")) == (
        None,
        None,
        None,
    )
    console = Console(record=True, width=200, quiet=False)
    show_cost(console, study, tmp_path, plan, TWO, offer)
    shown = console.export_text()
    assert "Unknown: the time of large" in shown and "org/large" in shown and "--profile" in shown
    assert "unknown GPU-hours" in shown and "0.00" not in shown
    mine = [step for step in plan.pending if step.params.model == "large"]
    assert (
        plan.planned_time(mine) == "unknown"
        and plan.planned_time([s for s in plan.pending if s not in mine]) != "unknown"
    )


def test_money_is_hours_on_the_cheapest_machine_that_holds_the_model(tmp_path: Path) -> None:
    study, folder, offer = offered(tmp_path)
    plan = with_seconds(planned_for(offer, study, folder), {"respond": 1200.0})  # 3 steps
    bill = estimate_cost(study, folder, plan)
    assert bill.gpu_hours == pytest.approx(1.0)
    l4, head = 0.9776, 0.2016
    assert total_price(bill, 1800.0, offer, "on_demand") == pytest.approx(l4 * 1.0 + head * 0.5)
    spot = total_price(bill, 1800.0, offer, "spot")
    assert spot is not None and spot < l4 + head * 0.5


def test_without_a_machine_that_holds_it_there_is_no_price(tmp_path: Path) -> None:
    study, folder, offer = offered(tmp_path)
    cpus = offer.cluster.model_copy(update={"workers": offer.cluster.workers[:1]})
    offer = replace(offer, cluster=cpus)
    plan = with_seconds(planned_for(offer, study, folder), {"respond": 1200.0})  # 3 steps
    assert total_price(estimate_cost(study, folder, plan), 1.0, offer, "spot") is None


def test_the_bill_is_shown_with_its_basis_prices_and_what_does_not_fit(tmp_path: Path) -> None:
    study, folder, offer = offered(tmp_path)
    plan, console = planned_for(offer, study, folder), Console(record=True, width=160, quiet=False)
    show_cost(console, study, folder, plan, Inventory((Node("t4", 4, 1, 16 * GIB, "T4"),)), offer)
    shown = console.export_text()
    assert "published throughputs" in shown and "prices of 2025-07-01" in shown and "GPU-hours" in shown
    assert "Does not fit: small needs about" in shown


def test_a_run_without_a_profile_starts_in_an_assumed_time_if_a_model_runs(tmp_path: Path) -> None:
    _, plan = planned(tmp_path)
    assert plan.overhead == RUN_START_SECONDS
    assert plan.limited_to([step.key for step in plan.pending_of("seeds")]).overhead == 0.0
