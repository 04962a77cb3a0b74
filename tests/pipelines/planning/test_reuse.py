"""Why a step is not reused: the fields that differ from the most similar finished one."""

from __future__ import annotations

from pathlib import Path

from pipelines.execution.runtime.commit import commit_rows
from pipelines.planning.plan import make_plan
from pipelines.planning.reuse import ReuseExplainer
from pipelines.store.store import Store
from pipelines.study.spec.study import Study
from tests.support.studies import scripted_study

HERE = Path()


def finish(study: Study, store: Store) -> None:
    for step in make_plan(study, HERE, store).pending:
        commit_rows(store, step, [], [], 0, 0.0)


def reasons(study: Study, store: Store) -> dict[str, str]:
    explainer = ReuseExplainer(store)
    return {step.label: explainer.explain(step) for step in make_plan(study, HERE, store).pending}


def test_an_empty_store_has_nothing_to_compare_with(tmp_path: Path) -> None:
    told = reasons(scripted_study(), Store(str(tmp_path)))
    assert set(told.values()) >= {"no evolve step is in the store yet"}


def test_the_changed_field_is_named_with_both_values(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    finish(scripted_study(), store)
    cooler = {"evolvers": ["small", "large"], "rounds": 2, "sampling": {"temperature": 0.1, "top_p": 0.95}}
    told = reasons(scripted_study(evolution=cooler), store)
    assert "sampling.temperature: 0.7 -> 0.1" in told["evolve world small r1"]
    assert "its input changed" in told["score world large r2 / small greedy"]
    assert all("seeds" not in label.split()[0] for label in told)


def test_a_finished_study_has_nothing_to_explain(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    finish(scripted_study(), store)
    assert reasons(scripted_study(), store) == {}
