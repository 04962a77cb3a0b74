"""Checks the chat templates of a study's models and their arguments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from actors.engines.registry import engine_info
from actors.inference.templates.student_templates import OWN, STUDENT_TEMPLATES
from actors.inference.templates.template_text import (
    DATE,
    argument_error,
    folder_template,
    mentions,
    syntax_error,
    takes_system,
    takes_user,
    with_arguments,
)
from pipelines.errors import nearest
from pipelines.study.inputs.models import read_template, resolve_model_path
from pipelines.study.inputs.problem import Problem
from pipelines.study.spec.common.model import Model
from pipelines.study.spec.study import Study
from pipelines.study.spec.training.recipes import Recipe


def check_template(model: Model, folder: Path) -> Iterator[Problem]:
    """Yield the problems of a model's `chat_template` and `template`. `folder` is the study file's folder."""
    wrong = {name: why for name, value in model.template.items() if (why := argument_error(name, value))}
    for name, why in wrong.items():
        yield Problem(("template", name), why)
    found = [*(_check_file if model.chat_template else _check_own)(model, folder)]
    yield from found
    if not found and not wrong and (template := known_template(model, folder)):
        for name in model.template:
            if name != DATE and not mentions(template, name):
                message = f"the chat template of {model.chat_template or model.source} has no argument '{name}'"
                yield Problem(("template", name), message, "Correct the name, or remove it.")


def known_template(model: Model, folder: Path) -> str | None:
    """Return the chat template of a model, with its arguments, if the study or a local folder has it.

    None if the model has none, is on the hub, or is served elsewhere.
    """
    path = Path(resolve_model_path(model, folder))
    try:
        template = read_template(model, folder)
        if template is None and engine_info(model.engine, model.gpus).has_weights and path.is_dir():
            template = folder_template(path)
    except (OSError, ValueError):  # reported by the checks of the template's file and of the model's folder
        return None
    return template and with_arguments(template, model.template)


def lacks_template(model: Model, folder: Path) -> bool:
    """Return whether a model in a local folder has no chat template, nor the study one for it."""
    local = engine_info(model.engine, model.gpus).has_weights and Path(resolve_model_path(model, folder)).is_dir()
    return local and known_template(model, folder) is None


def template_notes(study: Study, folder: Path) -> list[str]:
    """Return one line for each model whose template is known and has no system role."""
    templates = {name: known_template(model, folder) for name, model in study.models.items()}
    return [
        f"models.{name}: its chat template has no system role. System texts are put before the first user turn."
        for name, template in templates.items()
        if template is not None and not takes_system(template)
    ]


def _check_own(model: Model, folder: Path) -> Iterator[Problem]:
    """Yield the syntax error of the template in a model's folder, if it has one."""
    if (template := known_template(model, folder)) and (error := syntax_error(template)):
        message = f"the chat template of {model.source}: {error[1]}"
        yield Problem(("source",), message, "Give another with 'chat_template: FILE', or download the model again.")


def student_template(recipe: Recipe, folder: Path) -> str | None:
    """Return the chat template that a recipe gives its students; None if they keep the base's own.

    Raises:
        OSError: The file is missing or cannot be read.
    """
    if recipe.template == OWN:
        return None
    return STUDENT_TEMPLATES.get(recipe.template) or (folder / recipe.template).read_text(encoding="utf-8")


def check_student_template(recipe: Recipe, folder: Path) -> Iterator[Problem]:
    """Yield the problems of a recipe's `template`."""
    name, known = recipe.template, [OWN, *STUDENT_TEMPLATES]
    if name in known:
        return
    if not (folder / name).is_file():
        message = f"'{name}' is neither the name of a template ({', '.join(known)}) nor a file in {folder}"
        yield Problem(("template",), message, nearest(name, known) or "Correct the name or the path.")
        return
    yield from _check_text(("template",), folder / name)


def _check_file(model: Model, folder: Path) -> Iterator[Problem]:
    loc, name = ("chat_template",), model.chat_template or ""
    if engine_info(model.engine, model.gpus).memory_model == "remote":
        remedy = "Remove it. Arguments of the server's own template go under 'template'."
        yield Problem(loc, "the server of an http model has its own chat template, which cannot be replaced", remedy)
        return
    if name.startswith("~"):
        yield Problem(loc, "'~' is not expanded", "Use an absolute path, or a path relative to the study file.")
        return
    yield from _check_text(loc, folder / name)


def _check_text(loc: tuple[str, ...], file: Path) -> Iterator[Problem]:
    """Yield what is wrong with a file that should have a chat template."""
    try:
        template = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        yield Problem(loc, f"{file} is not UTF-8 text", "Save it as UTF-8.")
        return
    except OSError as error:
        yield Problem(loc, f"cannot read {file}: {error.strerror}", "Correct the path.")
        return
    if error := syntax_error(template):
        yield Problem(loc, f"{file}, line {error[0]}: {error[1]}", "Correct the Jinja template.")
    elif not takes_user(with_arguments(template, {})):
        remedy = "Give a Jinja template that renders 'messages', like chat_template.jinja in a model's folder."
        yield Problem(loc, f"{file} does not render a user's message", remedy)
