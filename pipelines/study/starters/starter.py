"""Writes a new study: a template, filled in with the user's data, the models and the machine."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import yaml

from pipelines.errors import InputError, nearest
from pipelines.study.starters.models import Server, StarterModels, bundled_models, hub_models, server_models
from pipelines.study.starters.own_data import MAX_COUNTED, OwnData

ORDER = ("quickstart", "teachers", "evolvers", "selection", "autoif", "endpoint", "own-data")
FIRST_ROWS = 1000  # a file with more rows starts with this many
_SUMMARY = "#: "
_FIELD = re.compile(r"\{\{(\w+)\}\}")
_ONLY_BUNDLED = ("quickstart", "autoif")
_EXTRA_FILES = {"autoif": ("formats.txt",)}


@dataclass(frozen=True, slots=True)
class Starter:
    """A new study file: its text, files that it names, and whether its hub models have to be pinned first."""

    path: Path
    text: str
    files: Mapping[Path, str]
    unpinned: bool

    def write(self, force: bool = False) -> None:
        """Write the study and the files that it names.

        Raises:
            InputError: A file exists, and `force` is not set.
        """
        written = {self.path: self.text, **self.files}
        for path, text in written.items():
            if path.exists() and not force and not (path in self.files and path.read_text() == text):
                remedy = "Name another file with --out, or overwrite it with --force."
                raise InputError("exists already", file=str(path), remedy=remedy)
        for path, text in written.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


def summaries() -> dict[str, str]:
    """Return what each template is for, by name, in the order in which they are shown."""
    return {name: _template(name).split("\n")[0].removeprefix(_SUMMARY) for name in ORDER}


def make_starter(
    template: str, path: Path, *, data: OwnData | None = None, server: Server | None = None, gpus: int = 0
) -> Starter:
    """Return a new study from a template.

    Args:
        template: The name of the template.
        path: The study's file; its name without extension is the name of the study.
        data: The user's instructions; None: tasks of the bundled world.
        server: The user's model server; None: local models (the template `endpoint`: an example server).
        gpus: The number of GPUs on which it will run. With any, templates for real data name models of the hub.

    Raises:
        InputError: There is no such template, or the name of the file cannot be the name of a study.
    """
    if template not in ORDER:
        raise InputError(f"there is no template '{template}'", remedy=nearest(template, [*ORDER]))
    if template == "autoif" and (data or server):
        given = "--data" if data else "--endpoint"
        raise InputError(
            f"the template 'autoif' shows the bundled models and takes no {given}",
            remedy="Write it without, and change its 'seeds' and 'models' by hand.",
        )
    models = _models(template, data, server, gpus)
    values = {
        "file": str(path),
        "study": _study_name(path),
        "seeds": _seeds(data, path),
        "models": models.text,
        "generators": f"[{', '.join(models.generators)}]",
        "first": models.generators[0],
        "last": models.generators[-1],
        "evolve_tokens": str(models.evolve_tokens),
        "answer_tokens": str(models.answer_tokens),
        "recipe": models.recipe,
        "given": _given(data),
    }
    body = _template(template).split("\n", 1)[1]
    text = _FIELD.sub(lambda match: values[match[1]], body)
    extra = {path.parent / name: (files("studies") / name).read_text() for name in _EXTRA_FILES.get(template, ())}
    return Starter(path, re.sub(r"\n\n\n+", "\n\n", text), extra, models.unpinned and "main" in text)


def _template(name: str) -> str:
    return (files("pipelines.study.starters") / "texts" / f"{name}.yaml").read_text(encoding="utf-8")


def _models(template: str, data: OwnData | None, server: Server | None, gpus: int) -> StarterModels:
    if server or template == "endpoint":
        return server_models(server, with_base=template != "endpoint")
    if gpus and template not in _ONLY_BUNDLED:
        return hub_models(gpus)
    return bundled_models(own_data=data is not None or template == "own-data")


def _study_name(path: Path) -> str:
    name = re.sub(r"[^a-z0-9._-]+", "-", path.stem.lower()).strip("-._")[:64]
    if not name:
        message = f"'{path.stem}' has no letter or digit, so it cannot be the name of the study"
        raise InputError(message, remedy="Name the file for example 'study.yaml'.")
    return name


def _seeds(data: OwnData | None, path: Path) -> str:
    if data is None:
        return (
            "seeds:\n"
            "  # tasks of a small closed world, whose answers can be checked. Your own: {name: mine, file: my.jsonl},\n"
            "  # where CSV, JSON, JSON Lines and Parquet are read, also compressed (docs/data.md)\n"
            "  - {name: world, world: {count: 60, levels: [0]}}"
        )
    lines = ["seeds:", f"  # {describe_rows(data)}; {describe_columns(data)}"]
    if data.guessed:
        lines.append(f"  # The instruction was guessed. Other columns of text: {', '.join(data.guessed)}")
    lines += [f"  - name: {_seed_name(data)}", f"    file: {_quoted(_relative(data.path, path))}"]
    if data.mapping:
        columns = ", ".join(f"{name}: {_quoted(column)}" for name, column in data.mapping.items())
        lines.append(f"    columns: {{{columns}}}")
    if data.rows > FIRST_ROWS:
        lines.append(f"    limit: {FIRST_ROWS}   # the first rows; remove this line to use all of them")
    return "\n".join(lines)


def _given(data: OwnData | None) -> str:
    if data is None or not data.has_answers:
        return "  # answers in your file form a data set of their own with: given: [{name: mine, column: output}]"
    return "  given: [{name: mine, column: output}]  # the answers of the file, as a data set of their own"


def describe_rows(data: OwnData) -> str:
    """Return the name of a file and the number of its rows, as text for display."""
    more = "at least " if data.rows >= MAX_COUNTED else ""
    return f"{data.path.name}: {more}{data.rows:,} row{'s' if data.rows != 1 else ''}"


def describe_columns(data: OwnData) -> str:
    """Return which column is what, as text for display."""
    parts = [f"{field} = column '{column}'" for field, column in data.fields.items()]
    if data.unused:
        parts.append(f"not used: {', '.join(data.unused)}")
    return "; ".join(parts)


def _seed_name(data: OwnData) -> str:
    stem = data.path.name.split(".")[0].lower()
    return re.sub(r"[^a-z0-9._-]+", "-", stem).strip("-._")[:64] or "mine"


def _relative(path: Path, study: Path) -> str:
    relative = os.path.relpath(path, study.parent)
    return str(path.absolute()) if relative.startswith("../..") else relative


def _quoted(text: str) -> str:
    """Return a text as a YAML scalar, also within a flow mapping."""
    return yaml.safe_dump([text], default_flow_style=True, allow_unicode=True, width=10_000).strip()[1:-1]
