"""Puts a paper's study, or its miniature, into a folder from which every command can use it."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

from pipelines.reproduction.catalog import PAPERS, PaperStudy
from pipelines.reproduction.small.checkpoints import write_checkpoints
from pipelines.reproduction.small.data import FILES, write_items
from pipelines.reproduction.small.study import FORMATS_FILE, PLUGIN, Miniature, miniature
from pipelines.study.file.load import LoadedStudy, load
from pipelines.study.file.write import yaml_text

FULL_FOLDER = Path("studies/papers")
SMALL_FOLDER = Path("evolgrid-small")


def place_study(study: PaperStudy, folder: Path) -> Path:
    """Return the study's file below `folder`. It and the files of its paper are copied there unless they exist.

    Models and data go to `folder/models` and `folder/data`, as the study says.
    """
    path = folder / study.paper / study.path.name
    shared = Path(str(files("studies"))) / FORMATS_FILE
    copies = {path: study.path, folder / "README.md": PAPERS / "README.md", folder.parent / FORMATS_FILE: shared}
    copies |= {path.parent / file.name: file for file in study.path.parent.glob("*.csv")}
    for target, source in copies.items():
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    return path


def place_miniature(study: PaperStudy, folder: Path) -> tuple[Path, Miniature]:
    """Write the study's miniature with its models and data below `folder`; return its file and what it consists of."""
    loaded = load(study.path)
    small = miniature(loaded.study)
    path = folder / study.paper / study.path.name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_checkpoints(small.checkpoints.values(), path.parent)
    _write_data(loaded, path.parent)
    path.write_text(_header(study) + yaml_text(small.content), encoding="utf-8")
    return path, small


def _write_data(loaded: LoadedStudy, folder: Path) -> None:
    for name in (PLUGIN, FORMATS_FILE):
        shutil.copyfile(Path(str(files("studies"))) / name, folder / name)
    for name in FILES:
        write_items(name, folder / "data" / name, loaded.study.seed)
    if loaded.study.published:
        shutil.copyfile(loaded.folder / loaded.study.published, folder / loaded.study.published)


def _header(study: PaperStudy) -> str:
    return f"# The miniature of {study.id}, written by 'evolgrid reproduce {study.id} --small'.\n"
