"""Downloads a checkpoint from a remote store to the node that loads it, and removes it when it is unloaded."""

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
    """Yield the spec with a local model: one at an fsspec URL is downloaded to this node, and removed at the end.

    Raises:
        LoadError: If the download fails, or if the engine spans several nodes, of which only this one would have it.
    """
    if "://" not in spec.model:
        yield spec
        return
    if spans_nodes:
        remedy = "use a folder that all nodes share for --store, or nodes with enough GPUs for the model"
        raise LoadError(spec.model, f"it is downloaded to one node, but its engine spans several: {remedy}")
    _remove_stale_downloads()
    with TemporaryDirectory(prefix=f"{DOWNLOAD_PREFIX}{os.getpid()}-", ignore_cleanup_errors=True) as temporary:
        yield replace(spec, model=_download(spec.model, Path(temporary, "model")))


def _download(url: str, folder: Path) -> str:
    try:
        fs, path = file_system(url)
        fs.get(path, str(folder), recursive=True)
    except Exception as error:  # each file system has its own types
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        requirements = "the package of the store (s3fs, gcsfs), its credentials and endpoint in the environment"
        remedy = f"every node that loads models needs {requirements}, and disk space in {gettempdir()} (TMPDIR)"
        raise LoadError(url, f"it cannot be downloaded from the store ({reason}): {remedy}") from error
    return str(folder)


def _remove_stale_downloads() -> None:
    """Remove the downloads that killed processes have left on this node."""
    for path in Path(gettempdir()).glob(f"{DOWNLOAD_PREFIX}*"):
        pid = path.name.removeprefix(DOWNLOAD_PREFIX).partition("-")[0]
        if not psutil.pid_exists(int(pid)):
            shutil.rmtree(path, ignore_errors=True)
