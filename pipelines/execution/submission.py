"""A study becomes a job: its file and what it names travel in a folder of their own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cluster.connection.jobs import Jobs
from pipelines.errors import InputError
from pipelines.execution.runtime.events import IN_STORE
from pipelines.study.file.load import LoadedStudy

SEEDS_FOLDER = "given-seeds"  # the folder in which a seed file of `--seeds` travels
MAX_UPLOAD_BYTES = 200 * 2**20  # that travel with a job; Ray's own bound is 500 MiB
CLUSTER_PYTHON = "python"  # the cluster's


def submit(jobs: Jobs, loaded: LoadedStudy, store: str, folder: Path, seeds: Path | None = None) -> str:
    """Start a run of a checked study on the cluster; returns the job's id. `folder` is empty and for a while.

    `seeds` is the file that has taken the place of the study's seed file.

    InputError if the cluster could not reach the store, or a file that the study names lies outside its folder or is
    too large to travel.
    """
    if "://" not in store and not Path(store).is_absolute():
        remedy = "Give a URL such as s3://BUCKET/FOLDER, or the absolute path of a folder that all nodes share."
        raise InputError(f"the cluster can not reach the store '{store}'", remedy=remedy)
    command = [CLUSTER_PYTHON, "-m", "pipelines.cli", "run", loaded.path.name, "--address", "auto", "--store", store]
    command += ["--log", IN_STORE]
    if seeds is not None:
        (folder / SEEDS_FOLDER).mkdir()
        shutil.copy(seeds, folder / SEEDS_FOLDER)
        command += ["--seeds", f"{SEEDS_FOLDER}/{seeds.name}"]
    pack(loaded, folder)
    return jobs.submit(loaded.study.study, command, folder)


def pack(loaded: LoadedStudy, folder: Path) -> None:
    """Copy the study's file, and the files and folders that it names by relative paths, to `folder`."""
    shutil.copy(loaded.path, folder / loaded.path.name)
    for name in sorted(set(_relative_paths(loaded))):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        source = loaded.folder / name
        shutil.copytree(source, target, dirs_exist_ok=True) if source.is_dir() else shutil.copy(source, target)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if size > MAX_UPLOAD_BYTES:
        remedy = "Put large files where the nodes reach them, and name them by absolute paths or by the hub's names."
        raise InputError(
            f"the study's files have {size / 2**20:,.0f} MiB, too much to travel with a job", remedy=remedy
        )


def _relative_paths(loaded: LoadedStudy) -> Iterator[str]:
    """Relative paths in the study that exist beside it."""
    for text in _strings(loaded.study.model_dump()):
        path = Path(text)
        if len(text) > 1000 or path.is_absolute() or path == Path() or not (loaded.folder / path).exists():
            continue
        if not (loaded.folder / path).resolve().is_relative_to(loaded.folder.resolve()):
            remedy = "Put it beside the study, or name it by an absolute path that all nodes have."
            raise InputError(f"'{text}' lies outside the study's folder and can not travel with it", remedy=remedy)
        yield text


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _strings(each)
