"""Downloads a checkpoint from a remote store to the node that loads it, and removes it when it is unloaded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from threading import Lock
from typing import Any

import psutil

from actors.engine import EngineSpec, LoadError
from actors.model_folder.adapter import ADAPTER_FOLDER
from cluster.filesystems import file_system

DOWNLOAD_PREFIX = "evolgrid-checkpoint-"
MAX_STUDENTS = 64


@contextmanager
def downloaded_checkpoint(spec: EngineSpec, spans_nodes: bool = False) -> Generator[EngineSpec]:
    """Yield the spec with a local model: one at an fsspec URL is downloaded to this node, and removed at the end.

    Raises:
        LoadError: If the download fails, or if the engine spans several nodes, of which only this one would have it.
    """
    with _downloaded(spec.model, spans_nodes, adapter_only=False) as folder:
        yield replace(spec, model=folder)


class DownloadedStudents:
    """The students whose adapters an engine applies to their base: at a URL, they are downloaded to this node.

    Their merged weights are not. The last MAX_STUDENTS downloads are kept.
    """

    def __init__(self, spans_nodes: bool) -> None:
        self._spans_nodes = spans_nodes
        self._downloads: dict[str, tuple[ExitStack, str]] = {}
        self._lock = Lock()

    def folder(self, address: str) -> str:
        """Return the local folder of a student, given its path or URL.

        Raises:
            LoadError: If the download fails, or if the engine spans several nodes.
        """
        with self._lock:
            if address not in self._downloads:
                files = ExitStack()
                folder = files.enter_context(_downloaded(address, self._spans_nodes, adapter_only=True))
                self._downloads[address] = files, folder
            while len(self._downloads) > MAX_STUDENTS:
                self._downloads.pop(next(iter(self._downloads)))[0].close()
            return self._downloads[address][1]

    def close(self) -> None:
        """Remove all downloads."""
        with self._lock:
            for files, _ in self._downloads.values():
                files.close()
            self._downloads.clear()


@contextmanager
def _downloaded(model: str, spans_nodes: bool, adapter_only: bool) -> Generator[str]:
    """Yield a local folder with the model at a path or URL, with `adapter_only` without its own weights."""
    if "://" not in model:
        yield model
        return
    if spans_nodes:
        remedy = "use a folder that all nodes share for --store, or nodes with enough GPUs for the model"
        raise LoadError(model, f"it is downloaded to one node, but its engine spans several: {remedy}")
    _remove_stale_downloads()
    with TemporaryDirectory(prefix=f"{DOWNLOAD_PREFIX}{os.getpid()}-", ignore_cleanup_errors=True) as temporary:
        yield _download(model, Path(temporary, "model"), adapter_only)


def _download(url: str, folder: Path, adapter_only: bool) -> str:
    try:
        fs, path = file_system(url)
        if adapter_only:
            _get_adapter(fs, path, folder)
        else:
            fs.get(path, str(folder), recursive=True)
    except Exception as error:  # each file system has its own types
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        requirements = "the package of the store (s3fs, gcsfs), its credentials and endpoint in the environment"
        remedy = f"every node that loads models needs {requirements}, and disk space in {gettempdir()} (TMPDIR)"
        raise LoadError(url, f"it cannot be downloaded from the store ({reason}): {remedy}") from error
    return str(folder)


def _get_adapter(fs: Any, path: str, folder: Path) -> None:
    """Copy a student's folder without its merged weights."""
    folder.mkdir()
    fs.get(f"{path}/{ADAPTER_FOLDER}", str(folder / ADAPTER_FOLDER), recursive=True)
    for entry in fs.ls(path, detail=True):
        name = entry["name"].rsplit("/", 1)[-1]
        if entry["type"] == "file" and ".safetensors" not in name:
            fs.get_file(entry["name"], str(folder / name))


def _remove_stale_downloads() -> None:
    """Remove the downloads that killed processes have left on this node."""
    for path in Path(gettempdir()).glob(f"{DOWNLOAD_PREFIX}*"):
        pid = path.name.removeprefix(DOWNLOAD_PREFIX).partition("-")[0]
        if not psutil.pid_exists(int(pid)):
            shutil.rmtree(path, ignore_errors=True)
