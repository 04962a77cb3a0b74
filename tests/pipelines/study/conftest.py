"""A small valid study file, and a way to spoil it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

VALID = """\
study: small
seeds:
  - name: tasks
    world: {count: 8}
models:
  tiny:
    source: any
    engine: scripted
evolution:
  evolvers: [tiny]
responses:
  teachers: [tiny]
recipes:
  quick:
    epochs: 1
students:
  - model: tiny
    recipe: quick
"""

WriteStudy = Callable[..., Path]


@pytest.fixture
def write_study(tmp_path: Path) -> WriteStudy:
    """Write the valid study with some text replaced by other text (which must be there), and with lines added."""

    def write(replace: dict[str, str] | None = None, add: str = "") -> Path:
        text = VALID
        for old, new in (replace or {}).items():
            assert old in text, f"{old!r} is not in the study"
            text = text.replace(old, new)
        path = tmp_path / "study.yaml"
        path.write_text(text + add)
        return path

    return write
