"""Submits a study as a job: packs its file and the files that it names into a folder, which Ray uploads."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cluster.connection.jobs import Jobs
from pipelines.errors import InputError
from pipelines.execution.runtime.events import IN_STORE
from pipelines.rows.readers import matching
from pipelines.study.file.load import LoadedStudy
from pipelines.study.plugins.shipping import modules_to_ship

SEEDS_FOLDER = "given-seeds"  # the folder of the uploaded seed file of `--seeds`
MAX_UPLOAD_BYTES = 200 * 2**20  # of a job's folder; Ray's own limit is 500 MiB
CLUSTER_PYTHON = "python"  # the interpreter on the cluster


def submit(jobs: Jobs, loaded: LoadedStudy, store: str, folder: Path, seeds: Path | None = None) -> str:
    """Submit a run of a checked study to the cluster and return the job's id.

    Args:
        folder: An empty temporary folder, into which the upload is packed. The caller deletes it.
        seeds: The file that replaces the study's seed file, if any.

    Raises:
        InputError: If the cluster cannot reach the store, a file that the study names is outside the study's folder, or
            the upload is too large.
    """
    if "://" not in store and not Path(store).is_absolute():
        remedy = "Give a URL such as s3://BUCKET/FOLDER, or the absolute path of a folder that all nodes share."
        raise InputError(f"the cluster cannot reach the store '{store}'", remedy=remedy)
    command = [CLUSTER_PYTHON, "-m", "pipelines.cli", "run", loaded.path.name, "--address", "auto", "--store", store]
    command += ["--log", IN_STORE]
    if seeds is not None:
        (folder / SEEDS_FOLDER).mkdir()
        _copy(seeds, folder / SEEDS_FOLDER / seeds.name)
        command += ["--seeds", f"{SEEDS_FOLDER}/{seeds.name}"]
    pack(loaded, folder)
    return jobs.submit(loaded.study.study, command, folder, modules_to_ship())


def pack(loaded: LoadedStudy, folder: Path) -> None:
    """Copy the study's file, and the files and folders that it names by relative paths, to `folder`.

    Raises:
        InputError: If a file is outside the study's folder, or all of them together are too large.
    """
    shutil.copy(loaded.path, folder / loaded.path.name)
    for name in sorted(set(_relative_paths(loaded))):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        _copy(loaded.folder / name, target)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if size > MAX_UPLOAD_BYTES:
        remedy = "Put large files where all nodes can read them, and name them by absolute paths or names on the hub."
        limit = f"the limit of an upload is {MAX_UPLOAD_BYTES / 2**20:,.0f} MiB"
        raise InputError(f"the study's files have {size / 2**20:,.0f} MiB; {limit}", remedy=remedy)


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True) if source.is_dir() else shutil.copy(source, target)


def _relative_paths(loaded: LoadedStudy) -> Iterator[str]:
    """Yield the relative paths in the study that exist in its folder, and those that its globs of seeds match."""
    globs = (name for seeds in loaded.study.seeds for name in seeds.file or [] if not Path(name).is_absolute())
    matches = (str(path.relative_to(loaded.folder)) for name in globs for path in matching(loaded.folder / name))
    for text in (*_strings(loaded.study.model_dump()), *matches):
        path = Path(text)
        if len(text) > 1000 or path.is_absolute() or path == Path() or not (loaded.folder / path).exists():
            continue
        if not (loaded.folder / path).resolve().is_relative_to(loaded.folder.resolve()):
            remedy = "Move it into the study's folder, or name it by an absolute path that exists on all nodes."
            raise InputError(f"'{text}' is outside the study's folder, so it cannot be uploaded", remedy=remedy)
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
