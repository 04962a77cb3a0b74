"""Loads and checks a study, from its file or from Python values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.errors import InputError
from pipelines.study.file.load import LoadedStudy, load, load_values
from pipelines.study.file.python_values import plain_block
from pipelines.study.locking.lock_file import with_lock
from pipelines.study.spec.study import Study

DEFAULT_STORE = "evolgrid-store"
STORE_VARIABLE = "EVOLGRID_STORE"
Source = str | Path | Mapping[str, Any] | Study


def load_study(source: Source, folder: Path | None = None, seeds: Path | None = None) -> LoadedStudy:
    """Load a study without the checks of what it names.

    Args:
        source: The path of a study file, or the content of one as a mapping or as a `Study`.
        folder: The folder of the relative paths in a study without a file (default: the current folder).
        seeds: A file that replaces the study's seed file.

    Raises:
        InputError: The study is invalid.
    """
    if isinstance(source, str | Path):
        if folder is not None:
            raise InputError("a study file's relative paths are relative to its own folder", remedy="Omit 'folder'.")
        loaded = with_lock(load(Path(source)))
    else:
        content = plain_block(source) if isinstance(source, Study) else source
        loaded = load_values(content, folder or Path.cwd())
    if seeds is None:
        return loaded
    from pipelines.study.file.override import with_seed_file

    return with_seed_file(loaded, seeds)


def check_study(loaded: LoadedStudy, local: bool) -> None:
    """Check what a study names. With `local`, also check that this machine can load and run the study's models.

    Raises:
        InputError: A name refers to nothing, a file is missing, or the machine is too small.
    """
    from cluster.resources.inventory import machine
    from pipelines.study.check import check

    inventory = machine() if local else None
    check(loaded, cpus=inventory.cpus if inventory else None, gpus=inventory.gpus if inventory else None, local=local)


def load_and_check(source: Source, seeds: Path | None, local: bool = False) -> LoadedStudy:
    """Load a study and check what it names, as `load_study` and `check_study` do.

    Raises:
        InputError: The study is invalid, or a file that it names is missing.
    """
    loaded = load_study(source, seeds=seeds)
    check_study(loaded, local)
    return loaded
