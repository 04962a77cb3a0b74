"""A small study with a plug-in beside it. What a test loads is undone at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.study.plugins.active import plugin_scope

METRIC = """\
from pipelines.plugins import Metric


def shouting(measurements):
    text = measurements.pair.response
    return sum(letter.isupper() for letter in text) / max(len(text), 1)


SHOUTING = Metric("shouting", better="low", value=shouting, label="Shouting")
"""
STUDY = """\
study: plugged
plugins: [./mine.py]
seeds:
  - {name: world, world: {count: 8}}
models:
  small: {source: small, engine: scripted, cpus: 0.1}
  large: {source: large, engine: scripted, cpus: 0.1}
evolution: {evolvers: [small], rounds: 1}
responses: {teachers: [large]}
selection:
  - {name: calm, by: shouting, keep: 0.5}
  - {name: any}
recipes: {full: {}}
students: [{model: small, recipe: full}]
benchmarks: [{name: world, world: {count: 4}}]
"""
WritePlugged = Callable[..., Path]


@pytest.fixture(autouse=True)
def scope() -> Iterator[None]:
    with plugin_scope():
        yield


@pytest.fixture
def plugged(tmp_path: Path) -> WritePlugged:
    """Write the study, with some text replaced, and its plug-in; return the study's path."""

    def write(plugin: str = METRIC, replace: dict[str, str] | None = None) -> Path:
        (tmp_path / "mine.py").write_text(plugin)
        text = STUDY
        for old, new in (replace or {}).items():
            assert old in text, f"{old!r} is not in the study"
            text = text.replace(old, new)
        (tmp_path / "study.yaml").write_text(text)
        return tmp_path / "study.yaml"

    return write
