"""Recipes: those of papers by name, own ones that start from them, and what enters a training's key."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from actors.inference.templates.student_templates import STUDENT_TEMPLATES
from actors.training.spec import accumulation_steps
from pipelines.errors import InputError
from pipelines.execution.training.trainer import train_spec
from pipelines.planning.requests import training_request
from pipelines.study.check import check
from pipelines.study.file.load import load
from pipelines.study.graph.build import build
from pipelines.study.graph.steps.params.students import EvaluateParams, TrainParams
from pipelines.study.inputs.models import evaluated_spec
from pipelines.study.spec.common.model import Model
from pipelines.study.spec.training.recipes import Recipe, TrainingResources, published_recipes
from tests.support.studies import STUDENTS, scripted_study

WriteStudy = Callable[..., Path]


def recipe(name: str) -> Recipe:
    return Recipe.model_validate(dict(published_recipes()[name]))


@pytest.mark.parametrize("name", published_recipes())
def test_every_published_recipe_is_valid_and_complete(name: str) -> None:
    made = recipe(name)
    assert made.model_fields_set >= {"learning_rate", "epochs", "batch_size", "micro_batch_size", "max_length"}
    sizes = {"2412.11231": 64, "2411.07133": 32, "2406.13542": 128}
    assert made.batch_size == sizes.get(name.partition("-")[0], made.batch_size)


def test_published_recipes_say_what_the_tables_print() -> None:
    main, scaled, other = recipe("2412.11231-main"), recipe("2412.11231-qwen2.5-14b"), recipe("2411.07133-main")
    assert (main.learning_rate, main.epochs, main.warmup_ratio, main.max_length) == (2e-5, 3, 0.03, 2048)
    assert main.precision == "bfloat16" and main.tuning == "full"
    assert (scaled.learning_rate, scaled.tuning, scaled.lora_rank, scaled.lora_alpha) == (5e-5, "lora", 8, 8)
    assert recipe("2412.11231-qwen2.5-1.5b").learning_rate == 1e-5
    assert recipe("2412.11231-qwen2.5-7b").learning_rate == 7e-6
    assert (other.epochs, other.warmup_steps, other.max_length) == (2, 100, 4096)
    autoif, code = recipe("2406.13542-main"), recipe("2406.00770-code")
    assert (autoif.learning_rate, autoif.scheduler, autoif.warmup_steps) == (7e-6, "linear", 20)
    assert (autoif.weight_decay, autoif.epochs, autoif.max_length) == (0.1, 3, 8192)
    assert (code.learning_rate, code.epochs, code.batch_size, code.template) == (2e-5, 3, 192, "vicuna")
    assert recipe("2406.00770-mistral-7b").epochs == recipe("2406.00770-mixtral-8x7b").epochs == 4


def test_a_student_may_name_a_papers_recipe(write_study: WriteStudy) -> None:
    loaded = load(write_study({"recipe: quick": "recipe: 2411.07133-main"}))
    check(loaded)
    assert loaded.study.recipes["2411.07133-main"].warmup_steps == 100


def test_a_recipe_starts_from_a_papers_and_changes_it(write_study: WriteStudy) -> None:
    study = load(write_study({"quick:\n    epochs: 1": "quick: {from: 2411.07133-main, epochs: 1}"})).study
    assert study.recipes["quick"] == recipe("2411.07133-main").model_copy(update={"epochs": 1})
    ratio = Recipe.model_validate({"from": "2411.07133-main", "warmup_ratio": 0.1})
    assert (ratio.warmup_steps, ratio.warmup_ratio) == (None, 0.1)
    assert Recipe.model_validate(study.recipes["quick"].model_dump()) == study.recipes["quick"]


def test_an_unknown_paper_is_told_with_those_that_there_are(write_study: WriteStudy) -> None:
    with pytest.raises(InputError, match=r"unknown recipe of a paper '2412.11231'; known recipes: 2412.11231-main"):
        load(write_study({"quick:\n    epochs: 1": "quick: {from: '2412.11231', epochs: 1}"}))
    with pytest.raises(InputError, match=r"Did you mean '2412\.11231-main'"):
        check(load(write_study({"recipe: quick": "recipe: 2412.11231-mian"})))


def test_workers_that_do_not_divide_the_batch_are_refused(write_study: WriteStudy) -> None:
    path = write_study({"recipe: quick": "recipe: quick\n    workers: 3"})
    with pytest.raises(InputError, match="3 workers x micro_batch_size 1 do not divide the recipe's batch_size 64"):
        check(load(path))
    path = write_study({"recipe: quick": "recipe: quick\n    workers: 8\n    gpus: 1"})
    with pytest.raises(InputError, match="the training asks for 8; the whole cluster has 4 GPUs"):
        check(load(path), cpus=64, gpus=4)


def test_adafactor_needs_the_whole_weights(write_study: WriteStudy) -> None:
    changes = {"    epochs: 1": "    optimizer: adafactor", "recipe: quick": "recipe: quick\n    sharding: fsdp"}
    with pytest.raises(InputError, match=r"students\[0\]\.sharding: the optimizer 'adafactor' needs the whole weights"):
        check(load(write_study(changes)))


def test_students_and_their_base_have_the_template_of_the_recipe(tmp_path: Path) -> None:
    study = scripted_study(**STUDENTS | {"recipes": {name: {"template": "vicuna"} for name in ("full", "lora")}})
    grid = build(study, tmp_path)
    base, student = grid.cells[0], grid.cells[-1]
    assert student.train and isinstance(student.train.params, TrainParams)
    assert train_spec(study, tmp_path, student.train.params).chat_template == STUDENT_TEMPLATES["vicuna"]
    for cell, template in ((base, STUDENT_TEMPLATES["vicuna"]), (student, None)):
        (_, evaluation), *_ = cell.evaluations
        assert isinstance(evaluation.params, EvaluateParams) and evaluation.params.template == template
    assert evaluated_spec(study, "small", tmp_path, template="x").chat_template == "x"


@pytest.mark.parametrize(
    ("workers", "gpus", "problem"),
    [
        (1, 1, ""),
        (1, 0.5, ""),
        (4, 1, ""),
        (4, 0, ""),
        (1, 4, "4 GPUs for each worker, but a worker uses one. To train on 4 GPUs, set 'workers: 4' and 'gpus: 1'"),
        (2, 0.5, "2 workers with 0.5 of a GPU each: workers that share a GPU cannot communicate. Set 'gpus: 1'"),
    ],
)
def test_a_worker_has_one_gpu_and_only_one_alone_a_share(
    write_study: WriteStudy, workers: int, gpus: float, problem: str
) -> None:
    loaded = load(write_study({"recipe: quick": f"recipe: quick\n    workers: {workers}\n    gpus: {gpus}"}))
    refused = pytest.raises(InputError, match=rf"students\[0\]\.gpus: {re.escape(problem)}")
    with refused if problem else nullcontext():
        check(loaded, cpus=64, gpus=8)


@pytest.mark.parametrize(("served_on", "default"), [(0, 0), (0.5, 1), (1, 1), (4, 1)])
def test_a_worker_has_one_gpu_if_its_model_is_served_on_gpus(served_on: float, default: float) -> None:
    assert TrainingResources().worker_gpus(served_on) == default
    assert TrainingResources(gpus=0.25).worker_gpus(served_on) == 0.25
    model = {"source": "any", "engine": "scripted"}
    study = scripted_study(**STUDENTS)
    served = study.model_copy(update={"models": {n: Model(**model, gpus=served_on) for n in study.models}})
    job = TrainParams("small", study.recipes["full"], 0, TrainingResources(workers=2))
    assert training_request(served, job).gpus == default


def keys(**changes: Any) -> set[str]:
    recipe_changes = {name: value for name, value in changes.items() if name in Recipe.model_fields}
    place = {name: value for name, value in changes.items() if name not in Recipe.model_fields}
    study = scripted_study(**STUDENTS)
    name = study.students[0].recipe
    recipes = {**study.recipes, name: study.recipes[name].model_copy(update=recipe_changes)}
    students = [student.model_copy(update=place) for student in study.students]
    grid = build(study.model_copy(update={"recipes": recipes, "students": students}), Path())
    return {key for key, step in grid.steps.items() if step.kind == "train"}


@pytest.mark.parametrize(
    "change",
    [
        {"workers": 2},
        {"sharding": "zero3"},
        {"gradient_checkpointing": True},
        {"checkpoint_steps": 5},
        {"together": 1},
        {"cpus": 2.0},
        {"gpus": 1.0},
    ],
)
def test_the_place_of_a_training_is_not_in_its_key(change: dict[str, Any]) -> None:
    assert keys(**change) == keys()


@pytest.mark.parametrize(
    "change", [{"packing": True}, {"warmup_steps": 7}, {"lora_dropout": 0.1}, {"lora_targets": ["q_proj"]}]
)
def test_all_of_a_recipe_is_in_its_key(change: dict[str, Any]) -> None:
    assert keys(**change) != keys()


def test_the_trainers_words_for_a_recipe(write_study: WriteStudy) -> None:
    loaded = load(write_study({"recipe: quick": "recipe: 2412.11231-main"}))
    step = next(step for step in build(loaded.study, loaded.folder).steps.values() if step.kind == "train")
    spec = train_spec(loaded.study, loaded.folder, step.params)
    assert (spec.dtype, spec.epochs, spec.batch_size, spec.lora_targets) == ("bfloat16", 3, 64, ("all-linear",))
    assert [accumulation_steps(spec, workers) for workers in (1, 8)] == [64, 8]
