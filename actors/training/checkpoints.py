"""Keeps the checkpoints of a running training: in a local folder, or in Ray Train's storage."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import ray.train

CHECKPOINTS_TO_KEEP = 2  # the last one and the one before
SIZES_FILE = "sizes.json"
WriteCheckpoint = Callable[[Path], None]


class LocalCheckpoints:
    """Checkpoints of a training in one process: folders named after their step. A folder with this name is complete."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, step: int, write: WriteCheckpoint) -> None:
        """Save the files that `write` puts into a folder as the checkpoint after `step`."""
        staging = self._folder / "writing"
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        write(staging)
        (staging / SIZES_FILE).write_text(json.dumps(_file_sizes(staging)))
        target = self._folder / str(step)
        shutil.rmtree(target, ignore_errors=True)
        staging.rename(target)
        for old in self._complete_folders()[CHECKPOINTS_TO_KEEP:]:
            shutil.rmtree(old)

    @contextmanager
    def latest(self) -> Generator[Path | None]:
        """Yield the last checkpoint whose files all have the sizes that were written; None if there is none."""
        yield next((folder for folder in self._complete_folders() if _is_complete(folder)), None)

    def _complete_folders(self) -> list[Path]:
        folders = [folder for folder in self._folder.glob("*") if folder.name.isdigit()]
        return sorted(folders, key=lambda folder: int(folder.name), reverse=True)


class GroupCheckpoints:
    """Checkpoints of a worker group: each worker uploads its part, and a checkpoint is complete with all parts."""

    def save(self, step: int, write: WriteCheckpoint) -> None:
        """Upload this worker's part of the checkpoint after `step`; all workers must call it."""
        with tempfile.TemporaryDirectory() as temporary:
            write(Path(temporary))
            ray.train.report({"step": step}, checkpoint=ray.train.Checkpoint.from_directory(temporary))

    @contextmanager
    def latest(self) -> Generator[Path | None]:
        """Yield the last checkpoint of which every worker has uploaded its part; None if there is none."""
        checkpoint = ray.train.get_checkpoint()
        if checkpoint is None:
            yield None
            return
        with checkpoint.as_directory() as folder:
            yield Path(folder)


def _file_sizes(folder: Path) -> dict[str, int]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != SIZES_FILE)
    return {str(path.relative_to(folder)): path.stat().st_size for path in files}


def _is_complete(folder: Path) -> bool:
    try:
        return json.loads((folder / SIZES_FILE).read_text()) == _file_sizes(folder)
    except (FileNotFoundError, ValueError):
        return False
