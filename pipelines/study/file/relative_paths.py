"""The files and folders that a study names by relative paths."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.rows.readers import matching
from pipelines.study.file.load import LoadedStudy
from pipelines.study.file.python_values import plain_block

MAX_PATH = 1000  # characters


def relative_paths(loaded: LoadedStudy) -> Iterator[str]:
    """Yield the relative paths in the study that exist in its folder, and those that its globs of seeds match."""
    globs = (name for seeds in loaded.study.seeds for name in seeds.file or [] if not Path(name).is_absolute())
    matches = (str(path.relative_to(loaded.folder)) for name in globs for path in matching(loaded.folder / name))
    for text in (*_strings(plain_block(loaded.study)), *matches):
        path = Path(text)
        if len(text) <= MAX_PATH and not path.is_absolute() and path != Path() and (loaded.folder / path).exists():
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
