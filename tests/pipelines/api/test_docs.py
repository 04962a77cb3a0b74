"""docs/python.md says what is there: its calls exist, its first block works, and its classes are exported."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import evolgrid
from tests.support.studies import scripted_study

PAGE = (Path(__file__).parents[3] / "docs/python.md").read_text()


def test_all_calls_exist_and_all_methods_are_documented() -> None:
    objects = {"evolgrid": evolgrid, "study": evolgrid.Study, "store": evolgrid.ResultStore}
    called = {(name, attribute) for name, attribute in re.findall(r"\b(evolgrid|study|store)\.(\w+)", PAGE)}
    assert not [name for name in called if not hasattr(objects[name[0]], name[1]) and name[1] != "yaml"]
    methods = {name for name in dir(evolgrid.Study) if not name.startswith("_")} - {"name", "spec", "folder"}
    assert methods <= {attribute for name, attribute in called if name == "study"}


def test_the_study_of_the_page_loads_and_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    block = next(block for block in re.findall(r"```python\n(.*?)```", PAGE, re.S) if "StudySpec" in block)
    exec(block, {"evolgrid": evolgrid})
    assert evolgrid.load("small.yaml").name == "small"


def test_the_table_of_errors_has_all_classes() -> None:
    errors = {name for name in evolgrid.__all__ if isinstance(getattr(evolgrid, name), type)}
    errors = {name for name in errors if issubclass(getattr(evolgrid, name), evolgrid.EvolgridError)}
    assert errors <= set(re.findall(r"`(?:evolgrid\.)?(\w+)`", PAGE))


def test_a_study_with_trackers_is_saved_and_loaded(tmp_path: Path) -> None:
    spec = scripted_study(trackers=["tensorboard", {"tracker": "wandb", "offline": True}])
    path = evolgrid.load(spec).save(tmp_path / "study.yaml")
    assert evolgrid.load(path).spec.trackers == spec.trackers
    plain = evolgrid.load(scripted_study())
    assert [step.key for step in evolgrid.load(path).plan().steps] == [step.key for step in plain.plan().steps]
