"""What a tracker's library is used for: runs, and numbers by step."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cluster.errors import error_line

Plain = str | int | float | bool | None
_SECRET_NAMES = re.compile("KEY|TOKEN|SECRET|PASSWORD")
_CREDENTIALS = re.compile(r"://[^/@\s]+@")
MIN_SECRET = 6  # characters; shorter values of such variables are no secrets


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """A run of a tracker: of a study or of one training. The same id continues the same run after an interruption."""

    id: str
    name: str
    config: Mapping[str, Plain] = field(default_factory=dict[str, Plain])


@dataclass(frozen=True, slots=True)
class Target:
    """Where a tracker logs to: its project, the study as the group of runs, and the folder of local files."""

    project: str
    group: str
    folder: Path
    offline: bool = False
    uri: str | None = None


class Backend(Protocol):
    """A tracker's library. All calls come from one thread."""

    def log(self, run: TrackedRun, step: int, values: Mapping[str, float]) -> None:
        """Log numbers of a run, which is started if it is new."""
        ...

    def close(self) -> None:
        """Finish all runs."""
        ...


def safe_line(error: BaseException) -> str:
    """Return an error in one line, without the values of secret environment variables and credentials of URLs."""
    text = _CREDENTIALS.sub("://***@", error_line(error))
    for name, value in os.environ.items():
        if _SECRET_NAMES.search(name.upper()) and len(value) >= MIN_SECRET:
            text = text.replace(value, "***")
    return text
