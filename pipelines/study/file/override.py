"""Applies command-line options that replace a value of a study."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipelines.errors import InputError
from pipelines.study.file.load import LoadedStudy


def with_seed_file(loaded: LoadedStudy, path: Path) -> LoadedStudy:
    """Return the study with another seed file. `path` is relative to the current folder.

    Raises:
        InputError: Unless the study has exactly one seed file, which `path` replaces.
    """
    study = loaded.study
    places = [index for index, seeds in enumerate(study.seeds) if seeds.file is not None]
    if len(places) != 1:
        raise InputError(
            f"--seeds needs a study with one seed file, and this one has {len(places)}",
            file=loaded.file,
            line=loaded.line_of(("seeds",)),
            field="seeds",
            remedy="Write the path into the study instead.",
        )
    seeds = list(study.seeds)
    seeds[places[0]] = seeds[places[0]].model_copy(update={"file": [str(path.absolute())]})
    return replace(loaded, study=study.model_copy(update={"seeds": seeds}))
