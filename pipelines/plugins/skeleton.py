"""Working skeletons of plug-ins, each with a test that passes."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Literal

from pipelines.errors import InputError

SkeletonKind = Literal["metric", "measure", "method", "selection", "benchmark", "engine"]
_SECTION = re.compile(r"^=== (\w+)\n", re.MULTILINE)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")


def write_skeleton(kind: SkeletonKind, name: str, folder: Path) -> tuple[Path, Path]:
    """Write a plug-in called `name` and its test to a folder, which is created if missing; return their paths.

    Raises:
        InputError: The name cannot be one, or a file exists already.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"'{name}' cannot be the name of a plug-in", remedy="Use lower-case letters, digits and '_'.")
    plugin, test = folder / f"{name}.py", folder / f"test_{name}.py"
    for path in (plugin, test):
        if path.exists():
            raise InputError("the file exists already", file=str(path), remedy="Choose another name or --folder.")
    folder.mkdir(parents=True, exist_ok=True)
    parts = _sections(kind)
    plugin.write_text(parts["plugin"].replace("NAME", name))
    lines = parts["study"].strip().replace("{", "{{").replace("}", "}}")
    test.write_text((_read("test").replace("STUDY_LINES", lines) + parts["test"]).replace("NAME", name))
    return plugin, test


def _sections(kind: SkeletonKind) -> dict[str, str]:
    _, *parts = _SECTION.split(_read(kind))
    return dict(zip(parts[::2], parts[1::2], strict=True))


def _read(name: str) -> str:
    return (resources.files("pipelines.plugins") / "skeletons" / f"{name}.txt").read_text()
