"""Cells share steps; a step's key is everything that changes its result, and nothing else."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipelines.study.graph.build import build
from pipelines.study.graph.steps.grid import Grid
from pipelines.study.spec.common.model import Model
from pipelines.study.spec.study import Study
from tests.support.studies import STUDENTS, scripted_study

HERE = Path()
EVOLUTION: dict[str, Any] = {"evolvers": ["small", "large"], "rounds": 2}


def keys(study: Study) -> set[str]:
    return set(build(study, HERE).steps)


def kinds(grid: Grid) -> dict[str, int]:
    found = [step.kind for step in grid.steps.values()]
    return {kind: found.count(kind) for kind in dict.fromkeys(found)}


def with_model(study: Study, name: str, **changes: Any) -> Study:
    models = dict(study.models) | {name: study.models[name].model_copy(update=changes)}
    return study.model_copy(update={"models": models})


def test_the_grid_counts_as_expected() -> None:
    grid = build(scripted_study(**STUDENTS), HERE)
    sets = (1 + 2 * 2) * 2
    assert len(grid.sets) == sets
    assert len(grid.cells) == 2 + sets * 2
    assert kinds(grid) == {
        "evaluate": 2 + sets * 2,
        "seeds": 1,
        "respond": sets,
        "score": sets,
        "evolve": 4,
        "select": sets,
        "train": sets * 2,
    }


def test_inputs_come_before_what_needs_them() -> None:
    seen: set[str] = set()
    for key, step in build(scripted_study(**STUDENTS), HERE).steps.items():
        assert all(needed.key in seen for needed in step.inputs)
        seen.add(key)


def test_another_teacher_adds_only_its_own_column() -> None:
    one = build(scripted_study(responses={"teachers": ["small"]}), HERE)
    two = build(scripted_study(), HERE)
    new = [step for key, step in two.steps.items() if key not in one.steps]
    assert one.steps.keys() < two.steps.keys()
    assert {step.kind for step in new} == {"respond", "score"}
    assert all("/ large" in step.label for step in new)


@pytest.mark.parametrize(
    "changes", [{"replicas": 3}, {"cpus": 4.0}, {"gpus": 1.0}, {"runtime": {"max_batch": 7}}], ids=str
)
def test_placement_is_in_no_key(changes: dict[str, Any]) -> None:
    study = scripted_study(**STUDENTS)
    assert keys(with_model(study, "small", **changes)) == keys(study)


@pytest.mark.parametrize(
    "changes",
    [
        {"source": "other"},
        {"revision": "abc"},
        {"dtype": "bfloat16"},
        {"max_length": 77},
        {"options": {"style": "echo"}},
    ],
    ids=str,
)
def test_whatever_changes_a_models_words_is_in_its_keys(changes: dict[str, Any]) -> None:
    study = scripted_study()
    before, after = build(study, HERE), build(with_model(study, "large", **changes), HERE)
    kept = [step.label for key, step in after.steps.items() if key in before.steps]
    changed = [step.label for key, step in after.steps.items() if key not in before.steps]
    assert changed and all("large" in label for label in changed)
    assert kept and all("large" not in label for label in kept)


def test_every_field_of_a_model_is_either_identity_or_placement() -> None:
    identity = {"source", "revision", "engine", "dtype", "max_length", "options", "chat_template", "template"}
    placement = {"replicas", "max_replicas", "in_flight", "shared", "cpus", "gpus", "accelerator", "runtime", "price"}
    assert set(Model.model_fields) == identity | placement | {"family", "parameters"}


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"evolution": EVOLUTION | {"breadth": False}},
        {"evolution": EVOLUTION | {"sampling": {"temperature": 0.1}}},
        {"evolution": EVOLUTION | {"assignment": "random"}},
        {"evolution": EVOLUTION | {"input": "merge"}},
        {"evolution": EVOLUTION | {"growth": {"words": 40}}},
        {"evolution": EVOLUTION | {"growth": {"ratio": 3}}},
        {"evolution": EVOLUTION | {"elimination": True}},
    ],
    ids=["seed", "rotation", "sampling", "assignment", "input", "words", "ratio", "elimination"],
)
def test_what_changes_an_evolution_changes_all_that_follows(changes: dict[str, Any]) -> None:
    before, after = build(scripted_study(), HERE), build(scripted_study(**changes), HERE)
    evolved = [
        step for step in after.steps.values() if step.kind == "evolve" or " r1" in step.label or " r2" in step.label
    ]
    assert evolved and all(step.key not in before.steps for step in evolved)


def eliminating(elimination: Any) -> Grid:
    return build(scripted_study(evolution=EVOLUTION | {"elimination": elimination}), HERE)


def test_elimination_is_a_step_between_rounds_that_asks_the_judge() -> None:
    grid = eliminating({"judge": "scorer"})
    assert kinds(grid)["eliminate"] == kinds(grid)["evolve"] == 4
    for step in grid.steps.values():
        if step.kind == "eliminate":
            assert step.params.model == "scorer" and step.inputs[0].kind == "evolve"
        if step.kind == "evolve" and step.label.endswith("r2"):
            assert step.inputs[0].kind == "eliminate"
    assert {pairs.instructions.kind for pairs in grid.sets} == {"seeds", "eliminate"}


def test_without_a_judge_each_evolver_judges_its_own_evolutions() -> None:
    judges = {step.params.model for step in eliminating(True).steps.values() if step.kind == "eliminate"}
    assert judges == {"small", "large"}
    assert set(eliminating({}).steps) == set(eliminating(True).steps)
    assert set(eliminating(False).steps) == keys(scripted_study())


@pytest.mark.parametrize("changes", [{"judge": "scorer"}, {"sorry_words": 40}, {"max_tokens": 64}])
def test_what_changes_an_elimination_keeps_the_first_round_of_rewriting(changes: dict[str, Any]) -> None:
    before, after = eliminating(True), eliminating(changes)
    new = [step.label for key, step in after.steps.items() if key not in before.steps]
    assert "eliminate world small r1" in new and "evolve world small r2" in new
    assert "evolve world small r1" not in new


AUTO: dict[str, Any] = {"method": "auto-evol-instruct", "evolvers": ["small", "large"]}


def auto(**changes: Any) -> Grid:
    return build(scripted_study(evolution=AUTO | changes), HERE)


def test_each_evolver_evolves_with_the_method_that_was_optimized_for_it() -> None:
    grid = auto(optimization={"optimizer": "scorer"}, rounds=2)
    assert kinds(grid)["optimize"] == 2 and kinds(grid)["evolve"] == 4
    for step in grid.steps.values():
        if step.kind == "evolve":
            before, found = step.inputs
            assert before.kind == ("seeds" if step.label.endswith("r1") else "evolve") and found.kind == "optimize"
            assert found.subject == step.subject.rpartition(" ")[0]


def test_the_first_method_as_it_is_needs_no_optimization_and_evolves_once() -> None:
    found = kinds(auto())
    assert "optimize" not in found and found["evolve"] == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "large"},
        {"variant": "authors"},
        {"candidates": 3},
        {"dev": 49},
        {"rounds": 2},
        {"sampling": {"temperature": 0.0}},
    ],
    ids=str,
)
def test_what_changes_an_optimization_changes_all_that_follows(changes: dict[str, Any]) -> None:
    before = auto(optimization={"optimizer": "scorer"})
    after = auto(optimization={"optimizer": "scorer"} | changes)
    new = {step.kind for key, step in after.steps.items() if key not in before.steps}
    assert new == {"optimize", "evolve", "respond", "score"}


def test_a_changed_prompt_changes_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    from pipelines.study.graph.steps import prompt_names as asked
    from prompts import catalog

    before = keys(scripted_study())
    real = catalog.get
    monkeypatch.setattr(catalog, "get", lambda name: dataclasses.replace(real(name), digest="changed"))
    asked.describe_prompts.cache_clear()
    after = keys(scripted_study())
    asked.describe_prompts.cache_clear()
    assert len(before & after) == 1, "only the seeds do not depend on a prompt"


def test_a_recipe_that_no_student_uses_changes_nothing() -> None:
    study = scripted_study(**STUDENTS)
    more = study.model_copy(update={"recipes": dict(study.recipes) | {"unused": study.recipes["full"]}})
    assert keys(more) == keys(study)


def test_more_seeds_keep_all_steps_and_add_those_of_the_new_seeds() -> None:
    def grid(seeds: Any, answer_seeds: Any) -> Grid:
        students = [{"model": "small", "recipe": "full", "seeds": seeds}]
        decodings = [{"name": "warm", "temperature": 0.7, "seeds": answer_seeds}]
        selection = [{"name": "all"}, {"name": "half", "keep": 0.5}, {"name": "ifd", "by": "ifd", "keep": 0.5}]
        responses = {"teachers": ["small"], "decodings": decodings, "answer_seeds": False}
        changes = STUDENTS | {"students": students, "selection": selection, "responses": responses}
        return build(scripted_study(**changes, evolution={"evolvers": ["small"], "rounds": 1}), HERE)

    one, three = grid(1, 1), grid(3, 1)
    assert one.steps.keys() < three.steps.keys()
    new = [step for key, step in three.steps.items() if key not in one.steps]
    assert Counter(step.kind for step in new) == {"train": 6, "evaluate": 6, "select": 2}, "only half is drawn again"
    assert all(" seed 1" in step.label or " seed 2" in step.label for step in new)
    assert [cell.seed for cell in three.cells if cell.selection == "all"] == [0, 1, 2]
    assert [cell.seed for cell in one.cells if cell.train] == [None] * 3

    sampled = grid([0], [0, 5])
    assert one.steps.keys() < sampled.steps.keys()
    new = [step for key, step in sampled.steps.items() if key not in one.steps]
    assert Counter(step.kind for step in new) == {"respond": 1, "score": 1, "select": 3, "train": 3, "evaluate": 3}
    assert [pairs.answer_seed for pairs in sampled.sets] == [0, 5]
    assert [pairs.answer_seed for pairs in one.sets] == [None]
