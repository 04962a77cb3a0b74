"""Print the libraries of evolgrid and of some extras, one on a line: `python scripts/requirements.py s3,eval`.

The container images install them before the code, so that a change of the code keeps the layer with the libraries.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

_OWN = re.compile(r"evolgrid\[(.+)\]")


def requirements(project: Path, extras: list[str]) -> Iterator[str]:
    """Yield the requirements in a pyproject.toml, then those of extras, also of extras that these name."""
    content = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    yield from content["dependencies"]
    for extra in extras:
        yield from _of_extra(content["optional-dependencies"], extra)


def _of_extra(table: dict[str, list[str]], extra: str) -> Iterator[str]:
    for line in table[extra]:
        inner = _OWN.match(line)
        yield from _of_extra(table, inner[1]) if inner else [line]


if __name__ == "__main__":
    print("\n".join(requirements(Path("pyproject.toml"), sys.argv[1].split(","))))
