"""Submits a study as a job: packs its file and the files that it names into a folder, which Ray uploads."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from cluster.connection.jobs import Jobs
from pipelines.errors import InputError
from pipelines.execution.runtime.events import IN_STORE
from pipelines.study.file.load import LoadedStudy
from pipelines.study.file.relative_paths import relative_paths
from pipelines.study.file.write import to_yaml
from pipelines.study.locking.lock_file import lock_path
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
    command = [CLUSTER_PYTHON, "-m", "pipelines.cli", "run", loaded.file_name, "--address", "auto", "--store", store]
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
    if loaded.path:
        shutil.copy(loaded.path, folder / loaded.file_name)
        if loaded.pins is not None:
            shutil.copy(lock_path(loaded.path), folder)
    else:
        (folder / loaded.file_name).write_text(to_yaml(loaded.study), encoding="utf-8")
    for name in sorted(set(_paths_to_upload(loaded))):
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


def _paths_to_upload(loaded: LoadedStudy) -> Iterator[str]:
    for text in relative_paths(loaded):
        if not (loaded.folder / text).resolve().is_relative_to(loaded.folder.resolve()):
            remedy = "Move it into the study's folder, or name it by an absolute path that exists on all nodes."
            raise InputError(f"'{text}' is outside the study's folder, so it cannot be uploaded", remedy=remedy)
        yield text
