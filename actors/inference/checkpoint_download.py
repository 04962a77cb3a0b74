"""A checkpoint of a remote store as a folder of the node that loads it, for as long as it is loaded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

import psutil

from actors.engine import EngineSpec, LoadError
from cluster.filesystems import file_system

DOWNLOAD_PREFIX = "evolgrid-checkpoint-"


@contextmanager
def downloaded_checkpoint(spec: EngineSpec, spans_nodes: bool = False) -> Generator[EngineSpec]:
    """The spec with a folder of this node for its model: one at an fsspec URL is copied, and removed at the end.

    LoadError if it can not be fetched, or if the engine loads on several nodes, of which only this one would have it.
    """
    if "://" not in spec.model:
        yield spec
        return
    if spans_nodes:
        remedy = "let --store be a folder that all nodes share, or take nodes with enough GPUs for the model"
        raise LoadError(spec.model, f"it is copied to one node, and its engine lies on several: {remedy}")
    _remove_stale_downloads()
    with TemporaryDirectory(prefix=f"{DOWNLOAD_PREFIX}{os.getpid()}-", ignore_cleanup_errors=True) as temporary:
        yield replace(spec, model=_download(spec.model, Path(temporary, "model")))


def _download(url: str, folder: Path) -> str:
    try:
        fs, path = file_system(url)
        fs.get(path, str(folder), recursive=True)
    except Exception as error:  # each file system has its own
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        requirements = "the package of the store (s3fs, gcsfs), its credentials and endpoint in the environment"
        remedy = f"every node that loads models needs {requirements}, and room in {gettempdir()} (TMPDIR)"
        raise LoadError(url, f"it can not be fetched from the store ({reason}): {remedy}") from error
    return str(folder)


def _remove_stale_downloads() -> None:
    """Remove what processes of this node that were killed have left."""
    for path in Path(gettempdir()).glob(f"{DOWNLOAD_PREFIX}*"):
        pid = path.name.removeprefix(DOWNLOAD_PREFIX).partition("-")[0]
        if not psutil.pid_exists(int(pid)):
            shutil.rmtree(path, ignore_errors=True)
