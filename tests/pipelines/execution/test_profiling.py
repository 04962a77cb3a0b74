"""A profile: which steps are run on a few seeds, and what is estimated from them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from pipelines.execution import runner
from pipelines.execution.profiling import (
    SHARED_TRAININGS_PER_CLASS,
    TRAININGS_PER_CLASS,
    ProfileRun,
    StepMeasurement,
    fit_linear,
    measure_profile,
    measure_step,
    representative_steps,
)
from pipelines.execution.runtime.commit import commit_rows
from pipelines.planning.plan import make_plan
from pipelines.planning.profile import load_profile
from pipelines.planning.workload import workload_class
from pipelines.store.store import Store
from pipelines.study.file.load import load
from pipelines.study.graph.steps.step import Step
from tests.support.studies import STUDENTS, scripted_study

HERE = Path()


def test_a_few_trainings_are_run_with_their_evaluations_and_what_builds_on_these(tmp_path: Path) -> None:
    (tmp_path / "talk.jsonl").write_text(json.dumps({"question_id": 81, "category": "roleplay", "turns": ["A", "B"]}))
    talk = {"name": "talk", "task": "mt_bench", "file": "talk.jsonl", "judge": {"model": "scorer"}}
    studied = STUDENTS | {
        "benchmarks": [*STUDENTS["benchmarks"], talk],
        "evolution": {"evolvers": ["small"], "rounds": 9},
    }
    plan = representative_steps(make_plan(scripted_study(**studied), tmp_path, Store(str(tmp_path / "store"))))
    assert Counter(step.label.split()[1] for step in plan.pending_of("train")) == {
        "small": TRAININGS_PER_CLASS,
        "large": SHARED_TRAININGS_PER_CLASS,
    }
    assert len(plan.pending_of("evaluate")) == 2 * (2 * TRAININGS_PER_CLASS + 2)  # of two benchmarks, and of the bases
    assert len(plan.pending_of("verdict")) == 2 * TRAININGS_PER_CLASS + 2
    kept = {step.key for step in plan.pending}
    assert all(needed.key in kept for step in plan.pending for needed in step.inputs)


def test_a_profile_of_two_sizes_tells_the_time_of_a_third() -> None:
    step = make_step()
    samples = [
        ProfileRun(((step, StepMeasurement(rows, 3 + 0.5 * rows, 0.9 * rows, 100 * rows, 20 * rows, 500 * rows)),), 0.0)
        for rows in (8, 40)
    ]
    line = fit_linear(samples)[workload_class(step)]
    assert line.fixed + 240 * line.per_row == pytest.approx(3 + 0.5 * 240)
    assert (line.rows_out, line.tokens_in, line.tokens_out) == (pytest.approx(0.9), 100, 20)


def test_noise_gives_no_step_a_negative_time() -> None:
    step = make_step()
    samples = [
        ProfileRun(((step, StepMeasurement(rows, took, rows, 0, 0, 0)),), 0.0) for rows, took in ((8, 2.0), (40, 1.0))
    ]
    line = fit_linear(samples)[workload_class(step)]
    assert (line.fixed, line.per_row) == (1.5, 0.0)


def test_starting_a_process_is_no_part_of_a_steps_time(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    step = make_plan(scripted_study(**STUDENTS), HERE, store).pending_of("evaluate")[0]
    commit_rows(store, step, [], [], 0, 30.0, {"start_seconds": 25.0})
    assert measure_step(step, store).seconds == 5.0


STUDY = """\
study: small
seeds: [{name: world, world: {count: 40}}]
models: {small: {source: small, engine: scripted, cpus: 0.1}}
evolution: {evolvers: [small], rounds: 1}
responses: {teachers: [small]}
"""


@pytest.mark.usefixtures("ray_local")
def test_a_profile_on_a_cluster_writes_where_its_nodes_reach_and_leaves_the_profile_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    loaded, store, places = load(tmp_path / "study.yaml"), Store(str(tmp_path / "store")), list[str]()
    real = runner.run
    monkeypatch.setattr("pipelines.execution.profiling.SAMPLE_SEED_COUNTS", (8,))
    monkeypatch.setattr(runner, "run", lambda *args, **more: places.append(args[1].root) or real(*args, **more))
    measure_profile(loaded, store, "auto", Console())
    assert [Path(place).parent for place in places] == [tmp_path / "store"]
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["studies"]
    profile, plan = load_profile(store, "small"), make_plan(loaded.study, loaded.folder, store)
    assert (
        profile
        and plan.basis == profile.description
        and len(plan.costs) == len({workload_class(s) for s in plan.grid.steps.values()})
    )


def make_step() -> Step:
    study = scripted_study()
    return next(step for step in make_plan(study, HERE, Store("nowhere")).grid.steps.values() if step.kind == "respond")
