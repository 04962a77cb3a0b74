"""Where checkpoints lie while a training runs: a folder of this machine, or Ray Train's storage."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import ray.train

KEPT = 2  # the one before is there until the next one is complete
SIZES = "sizes.json"
Write = Callable[[Path], None]


class LocalCheckpoints:
    """Checkpoints of a training in one process: `STEP` folders, complete once they have their name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, step: int, write: Write) -> None:
        """Keep what `write` puts into a folder as the checkpoint after `step`."""
        aside = self._folder / "writing"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        write(aside)
        (aside / SIZES).write_text(json.dumps(_sizes(aside)))
        target = self._folder / str(step)
        shutil.rmtree(target, ignore_errors=True)
        aside.rename(target)
        for old in self._complete()[KEPT:]:
            shutil.rmtree(old)

    @contextmanager
    def latest(self) -> Generator[Path | None]:
        """The last checkpoint whose files are all as they were written."""
        yield next((folder for folder in self._complete() if _is_whole(folder)), None)

    def _complete(self) -> list[Path]:
        found = [folder for folder in self._folder.glob("*") if folder.name.isdigit()]
        return sorted(found, key=lambda folder: int(folder.name), reverse=True)


class GroupCheckpoints:
    """Checkpoints of a worker group: each worker uploads its part, and one counts when all parts are there."""

    def save(self, step: int, write: Write) -> None:
        """As of `LocalCheckpoints`; all workers call it."""
        with tempfile.TemporaryDirectory() as temporary:
            write(Path(temporary))
            ray.train.report({"step": step}, checkpoint=ray.train.Checkpoint.from_directory(temporary))

    @contextmanager
    def latest(self) -> Generator[Path | None]:
        """The last checkpoint of which every worker has uploaded its part."""
        checkpoint = ray.train.get_checkpoint()
        if checkpoint is None:
            yield None
            return
        with checkpoint.as_directory() as folder:
            yield Path(folder)


def _sizes(folder: Path) -> dict[str, int]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != SIZES)
    return {str(path.relative_to(folder)): path.stat().st_size for path in files}


def _is_whole(folder: Path) -> bool:
    try:
        return json.loads((folder / SIZES).read_text()) == _sizes(folder)
    except (FileNotFoundError, ValueError):
        return False
