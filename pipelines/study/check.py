"""Checks of a study beyond its types: names refer to something, files exist, and the cluster is large enough."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from importlib.util import find_spec

from actors.engines.registry import ENGINES, engine_info
from actors.model_folder.packing import PACKING_REMEDY, packing_problem
from pipelines.errors import InputError, combined, nearest
from pipelines.study.file.load import LoadedStudy
from pipelines.study.file.yaml_tree import Loc, dotted_path, loc_in_file
from pipelines.study.inputs.autoif_instructions import read_autoif_instructions
from pipelines.study.inputs.benchmarks import check_benchmark
from pipelines.study.inputs.encoders import check_encoder
from pipelines.study.inputs.endpoints import (
    check_here,
    check_log_probabilities,
    check_placement,
    check_same_servers,
)
from pipelines.study.inputs.models import (
    check_adapters,
    check_draft,
    check_installed,
    check_model,
    check_options,
    local_config,
)
from pipelines.study.inputs.problem import Problem
from pipelines.study.inputs.prompts.files import read_prompt
from pipelines.study.inputs.published import read_published
from pipelines.study.inputs.references import check_reference
from pipelines.study.inputs.seeds import OWN_ANSWERS, check_hub, given_source, local_source
from pipelines.study.inputs.templates import check_student_template, check_template, lacks_template
from pipelines.study.locking.lock_file import missing_in_lock
from pipelines.study.roles import needs_template, roles
from pipelines.study.searches import check_search
from pipelines.study.selections import REQUIRED_BLOCKS, check_lengths, check_scorers, check_selections
from pipelines.study.sparse.layouts import layout_problems
from pipelines.study.sparse.problems import pattern_problems, union_problems
from pipelines.study.spec.common.model import Model
from pipelines.study.spec.evaluation.performance import Formula, plain_name
from pipelines.study.spec.pairs.responses import SELECTION_RULES
from pipelines.study.spec.training.recipes import published_recipes


def check(loaded: LoadedStudy, *, cpus: float | None = None, gpus: float | None = None, local: bool = False) -> None:
    """Check a study for what would fail later in a run.

    Args:
        cpus: The CPUs of the whole cluster; None skips the check of the requested CPUs.
        gpus: The GPUs of the whole cluster; None skips the check of the requested GPUs.
        local: Whether models and trainings run in this environment, so that it must have their packages and the keys
            of their servers. On a cluster, the nodes have their own.

    Raises:
        InputError: For one mistake; InputErrors for several, with all that were found.
    """
    problems = [
        *(_error_at(loaded, *problem) for problem in missing_in_lock(loaded)),
        *_unknown_names(loaded),
        *_duplicates(loaded),
        *_wrong_engines(loaded),
        *_best_of_n_with_autoif(loaded),
        *_selection_problems(loaded),
        *_replaced_prompts(loaded),
        *_seed_files(loaded),
        *_given_answers(loaded),
        *_autoif_files(loaded),
        *_model_problems(loaded),
        *_missing_templates(loaded),
        *(_missing_packages(loaded) if local else ()),
        *(_unusable_servers(loaded) if local else ()),
        *_encoder_problems(loaded),
        *_benchmark_problems(loaded),
        *_contamination(loaded),
        *_oversized_requests(loaded, cpus, gpus),
        *_recipe_problems(loaded),
        *_training_gpus(loaded),
        *_unpackable_students(loaded),
        *_published_numbers(loaded),
        *(_error_at(loaded, *problem) for problem in pattern_problems(loaded.study)),
        *(_error_at(loaded, *problem) for problem in union_problems(loaded.study)),
        *(_error_at(loaded, *problem) for problem in layout_problems(loaded.study)),
        *_performance(loaded),
        *(_problem_error(loaded, ("search",), problem) for problem in check_search(loaded.study)),
    ]
    if problems:
        raise combined(problems)


def _error_at(loaded: LoadedStudy, loc: Loc, message: str, remedy: str | None = None) -> InputError:
    field = dotted_path(loc_in_file(loc, loaded.line_numbers))
    return InputError(message, file=loaded.file, line=loaded.line_of(loc), field=field, remedy=remedy)


def _problem_error(loaded: LoadedStudy, block: Loc, problem: Problem) -> InputError:
    """A problem of the block at `block` as an error with its place in the file."""
    return _error_at(loaded, (*block, *problem.field), problem.message, problem.remedy)


def _unknown_names(loaded: LoadedStudy) -> Iterator[InputError]:
    study = loaded.study
    for role in roles(study):
        if role.model not in study.models:
            remedy = nearest(role.model, list(study.models))
            yield _error_at(loaded, role.loc, f"no model is named '{role.model}'", remedy)
    for index, student in enumerate(study.students):
        if student.recipe not in study.recipes:
            remedy = nearest(student.recipe, [*study.recipes, *published_recipes()]) or "Add it under 'recipes'."
            yield _error_at(loaded, ("students", index, "recipe"), f"no recipe is named '{student.recipe}'", remedy)


def _wrong_engines(loaded: LoadedStudy) -> Iterator[InputError]:
    """Yield roles whose engine does not fit: classifying and generating each need an engine that supports it."""
    for role in roles(loaded.study):
        model = loaded.study.models.get(role.model)
        info = engine_info(model.engine, model.gpus) if model else None
        if info is None or (info.classifies if role.classifies else info.generates):
            continue
        if role.classifies:
            classifier = next(name for name, engine in ENGINES.items() if engine.classifies)
            message = f"'{role.model}' must give rewards or NLI labels here, but its engine is not a classifier"
            yield _error_at(loaded, role.loc, message, f"Set 'engine: {classifier}' under models.{role.model}.")
        else:
            yield _error_at(loaded, role.loc, f"'{role.model}' is a classifier and cannot write or score text")


def _best_of_n_with_autoif(loaded: LoadedStudy) -> Iterator[InputError]:
    choosing = [index for index, one in enumerate(loaded.study.responses.decodings) if one.draw in SELECTION_RULES]
    if any(evolution.autoif for evolution in loaded.study.evolution):
        for index in choosing:
            message = "AutoIF keeps every answer that passes its checks, so it cannot choose the best of several"
            yield _error_at(loaded, ("responses", "decodings", index, "draw"), message, "Use 'one' or 'sample'.")


def _duplicates(loaded: LoadedStudy) -> Iterator[InputError]:
    study = loaded.study
    yield from _repeated_names(loaded, ("evolution",), [evolution.name for evolution in study.evolution], "name")
    for number, evolution in enumerate(study.evolution):
        yield from _repeated_names(loaded, ("evolution", number, "evolvers"), evolution.evolvers)
    yield from _repeated_names(loaded, ("scoring",), [scoring.label for scoring in study.scoring])
    yield from _repeated_names(loaded, ("rewards",), study.rewards)
    yield from _repeated_names(loaded, ("responses", "teachers"), study.responses.teachers)
    given = [given.name for given in study.responses.given]
    yield from _repeated_names(loaded, ("responses", "given"), given, "name")
    for index in (index for index, name in enumerate(given) if name in study.models):
        message = f"'{given[index]}' is the name of a model, too: the report could not tell their answers apart"
        yield _error_at(loaded, ("responses", "given", index, "name"), message, "Give another name.")
    yield from _repeated_names(loaded, ("seeds",), [seeds.name for seeds in study.seeds], "name")
    yield from _repeated_names(
        loaded, ("responses", "decodings"), [one.name for one in study.responses.decodings], "name"
    )
    yield from _repeated_names(loaded, ("selection",), [selection.name for selection in study.selection], "name")
    yield from _repeated_names(loaded, ("benchmarks",), [benchmark.name for benchmark in study.benchmarks], "name")
    yield from _repeated_names(loaded, ("students",), [f"{one.model} with {one.recipe}" for one in study.students])


def _repeated_names(
    loaded: LoadedStudy, loc: Loc, names: Iterable[str], key: str | None = None
) -> Iterator[InputError]:
    first: dict[str, Loc] = {}
    for index, name in enumerate(names):
        name_loc = (*loc, index) if key is None else (*loc, index, key)
        if name in first:
            yield _error_at(loaded, name_loc, f"'{name}' is given twice; the first time in {loaded.place(first[name])}")
        first.setdefault(name, name_loc)


def _replaced_prompts(loaded: LoadedStudy) -> Iterator[InputError]:
    for name, source in loaded.study.prompts.items():
        try:
            read_prompt(name, source, loaded.folder)
        except InputError as error:
            where = f"{error.file}, line {error.line}: " if error.line else f"{error.file}: " if error.file else ""
            yield _error_at(loaded, ("prompts", name), f"{where}{error.message}", error.remedy)


def _selection_problems(loaded: LoadedStudy) -> Iterator[InputError]:
    for problem in check_scorers(loaded.study):
        yield _problem_error(loaded, ("scoring",), problem)
    for problem in check_lengths(loaded.study):
        yield _problem_error(loaded, ("lengths",), problem)
    for problem in check_selections(loaded.study):
        yield _problem_error(loaded, ("selection",), problem)


def _seed_files(loaded: LoadedStudy) -> Iterator[InputError]:
    for index, seeds in enumerate(loaded.study.seeds):
        if problem := check_hub(seeds):
            yield _problem_error(loaded, ("seeds", index), problem)
        if problem or seeds.world:
            continue
        loc: Loc = ("seeds", index, "hub" if seeds.hub else "file")
        if any(name.startswith("~") for name in seeds.file or []):
            yield _error_at(
                loaded, loc, "'~' is not expanded", "Write an absolute path, or one relative to the study's folder."
            )
            continue
        remedy = "Correct the path, or name another file with '--seeds'."
        try:
            local_source(seeds, loaded.folder)
        except InputError as error:
            yield _error_at(loaded, loc, f"{error.file}: {error.message}", error.remedy or remedy)


def _given_answers(loaded: LoadedStudy) -> Iterator[InputError]:
    names = [seeds.name for seeds in loaded.study.seeds]
    for index, given in enumerate(loaded.study.responses.given):
        loc: Loc = ("responses", "given", index)
        if given.seeds is not None and given.seeds not in names:
            yield _error_at(
                loaded, (*loc, "seeds"), f"no seed set is named '{given.seeds}'", nearest(given.seeds, names)
            )
        for seeds in loaded.study.seeds:
            if given.seeds not in (None, seeds.name):
                continue
            if seeds.world and given.column not in (None, OWN_ANSWERS):
                message = f"the seeds '{seeds.name}' have no columns: they are tasks of the bundled world"
                yield _error_at(loaded, (*loc, "column"), message, f"Use 'column: {OWN_ANSWERS}', or name a 'file'.")
        if given.file:
            try:
                given_source(given, loaded.study.seeds[0], loaded.folder)
            except InputError as error:
                yield _error_at(loaded, (*loc, "file"), f"{error.file}: {error.message}", error.remedy)


def _autoif_files(loaded: LoadedStudy) -> Iterator[InputError]:
    for index, evolution in enumerate(loaded.study.evolution):
        if evolution.autoif is None:
            continue
        try:
            read_autoif_instructions(loaded.folder, evolution)
        except InputError as error:
            where = f"{error.file}, line {error.line}" if error.line else error.file
            yield _error_at(
                loaded, ("evolution", index, "autoif", "instructions"), f"{where}: {error.message}", error.remedy
            )


def _model_problems(loaded: LoadedStudy) -> Iterator[InputError]:
    for name, model in loaded.study.models.items():
        if found := check_model(model, loaded.folder):
            yield _problem_error(loaded, ("models", name), found)
            continue
        folder = loaded.folder
        found = (*check_options(model), *check_draft(model, folder), *check_placement(model))
        found = (*found, *check_adapters(loaded.study, name))
        for problem in (*found, *check_template(model, folder)):
            yield _problem_error(loaded, ("models", name), problem)
    for name, problem in check_same_servers(loaded.study.models):
        yield _problem_error(loaded, ("models", name), problem)
    for name, problem in check_log_probabilities(loaded.study):
        yield _problem_error(loaded, ("models", name), problem)


def _missing_templates(loaded: LoadedStudy) -> Iterator[InputError]:
    """Yield roles that need a chat template and whose model has none."""
    for role in roles(loaded.study):
        model = loaded.study.models.get(role.model)
        if not model or not needs_template(loaded.study, role) or check_model(model, loaded.folder):
            continue
        if lacks_template(model, loaded.folder):
            message = f"'{role.model}' has no chat template, so it cannot be asked"
            remedy = f"Give one with 'chat_template: FILE' under models.{role.model}."
            yield _error_at(loaded, role.loc, message, remedy)


def _unusable_servers(loaded: LoadedStudy) -> Iterator[InputError]:
    for name, model in loaded.study.models.items():
        if check_model(model, loaded.folder) or [*check_options(model)]:
            continue
        for problem in check_here(model):
            yield _problem_error(loaded, ("models", name), problem)


def _missing_packages(loaded: LoadedStudy) -> Iterator[InputError]:
    for name, model in loaded.study.models.items():
        if found := check_installed(model):
            yield _problem_error(loaded, ("models", name), found)
    for index, student in enumerate(loaded.study.students):
        if student.sharding.startswith("zero") and find_spec("deepspeed") is None:
            remedy = "Install it with \"pip install 'evolgrid[deepspeed]'\", or use 'sharding: fsdp'."
            yield _error_at(loaded, ("students", index, "sharding"), "the package 'deepspeed' is not installed", remedy)


def _encoder_problems(loaded: LoadedStudy) -> Iterator[InputError]:
    block = loaded.study.diversity
    if block and (found := check_encoder(block, loaded.folder)):
        yield _problem_error(loaded, ("diversity",), found)


def _benchmark_problems(loaded: LoadedStudy) -> Iterator[InputError]:
    for index, benchmark in enumerate(loaded.study.benchmarks):
        for problem in check_benchmark(loaded.study, benchmark, loaded.folder):
            yield _problem_error(loaded, ("benchmarks", index), problem)


def _contamination(loaded: LoadedStudy) -> Iterator[InputError]:
    study, block = loaded.study, loaded.study.contamination
    for index, name in enumerate(block.against if block else ()):
        if message := check_reference(study, loaded.folder, name):
            remedy = nearest(name, [benchmark.name for benchmark in study.benchmarks])
            yield _error_at(loaded, ("contamination", "against", index), message, remedy)
    if block and block.near and study.diversity is None:
        what, block_name, example = REQUIRED_BLOCKS["diversity"]
        message, remedy = f"'near' needs {what}, but the study has no '{block_name}'", f"Add for example '{example}'."
        yield _error_at(loaded, ("contamination", "near"), message, remedy)


def _oversized_requests(loaded: LoadedStudy, cpus: float | None, gpus: float | None) -> Iterator[InputError]:
    for name, model in loaded.study.models.items():
        if engine_info(model.engine, model.gpus).memory_model == "remote":
            continue  # it takes no resources of the cluster
        for key, wanted, total in (("cpus", model.cpus, cpus), ("gpus", model.gpus, gpus)):
            if total is not None and wanted > total:
                message = f"one replica asks for {wanted:g}; the whole cluster has {total:g} {key.upper()[:-1]}s"
                yield _error_at(loaded, ("models", name, key), message)
        yield from _fractional_gpus(loaded, name, model)
    for index, student in enumerate(loaded.study.students):
        for key, total in (("cpus", cpus), ("gpus", gpus)):
            wanted = student.workers * (getattr(student, key) or 0)
            if total is not None and wanted > total:
                message = f"the training asks for {wanted:g}; the whole cluster has {total:g} {key.upper()[:-1]}s"
                yield _error_at(loaded, ("students", index, key), message)


def _fractional_gpus(loaded: LoadedStudy, name: str, model: Model) -> Iterator[InputError]:
    if model.gpus > 1 and not model.gpus.is_integer():
        yield _error_at(loaded, ("models", name, "gpus"), f"{model.gpus:g} GPUs: above 1, the number must be whole")


def _training_gpus(loaded: LoadedStudy) -> Iterator[InputError]:
    """Yield shares of GPUs that no training can use: a worker computes on one, and workers on the same one collide."""
    for index, student in enumerate(loaded.study.students):
        gpus = student.gpus or 0
        if gpus > 1:
            message = f"{gpus:g} GPUs for each worker, but a worker uses one"
            workers = math.ceil(gpus)
            remedy = f"To train on {workers} GPUs, set 'workers: {workers}' and 'gpus: 1'."
            yield _error_at(loaded, ("students", index, "gpus"), message, remedy)
        elif 0 < gpus < 1 < student.workers:
            message = (
                f"{student.workers} workers with {gpus:g} of a GPU each: workers that share a GPU cannot communicate"
            )
            yield _error_at(loaded, ("students", index, "gpus"), message, "Set 'gpus: 1', or 'workers: 1'.")


def _recipe_problems(loaded: LoadedStudy) -> Iterator[InputError]:
    for name, recipe in loaded.study.recipes.items():
        for problem in check_student_template(recipe, loaded.folder):
            yield _problem_error(loaded, ("recipes", name), problem)
        if recipe.batch_size % recipe.micro_batch_size:
            message = f"batch_size {recipe.batch_size} is not a multiple of micro_batch_size {recipe.micro_batch_size}"
            yield _error_at(loaded, ("recipes", name, "batch_size"), message)
    for index, student in enumerate(loaded.study.students):
        recipe = loaded.study.recipes.get(student.recipe)
        if recipe and student.workers > 1 and recipe.batch_size % (recipe.micro_batch_size * student.workers):
            message = (
                f"{student.workers} workers x micro_batch_size {recipe.micro_batch_size} do not divide the recipe's "
                f"batch_size {recipe.batch_size}"
            )
            yield _error_at(loaded, ("students", index, "workers"), message)
        if recipe and recipe.optimizer != "adamw" and student.sharding != "none":
            message = f"the optimizer '{recipe.optimizer}' needs the whole weights, but 'sharding: {student.sharding}'"
            yield _error_at(loaded, ("students", index, "sharding"), message, "Use adamw, or 'sharding: none'.")


def _unpackable_students(loaded: LoadedStudy) -> Iterator[InputError]:
    """Yield an error for each student with packed rows whose model does not separate them."""
    for index, student in enumerate(loaded.study.students):
        recipe, model = loaded.study.recipes.get(student.recipe), loaded.study.models.get(student.model)
        if recipe is None or model is None or not recipe.packing:
            continue
        if problem := packing_problem(local_config(model, loaded.folder)):
            message = f"the recipe '{student.recipe}' packs rows, but {problem}, so rows would see each other"
            yield _error_at(loaded, ("students", index, "recipe"), message, f"{PACKING_REMEDY}.")


def _published_numbers(loaded: LoadedStudy) -> Iterator[InputError]:
    if loaded.study.published:
        try:
            read_published(loaded.folder / loaded.study.published)
        except InputError as error:
            yield error


def _performance(loaded: LoadedStudy) -> Iterator[InputError]:
    """Yield an error for each benchmark in the formula of the performance that the study does not have."""
    names = [plain_name(bench.name) for bench in loaded.study.benchmarks]
    for term in Formula(loaded.study.performance).terms() if loaded.study.performance else ():
        if names.count(term.benchmark) != 1:
            found = "several benchmarks are" if term.benchmark in names else "no benchmark is"
            remedy = nearest(term.benchmark, names) or f"Benchmarks: {', '.join(names) or 'none'}."
            yield _error_at(loaded, ("performance",), f"{found} named '{term.benchmark}'", remedy)
