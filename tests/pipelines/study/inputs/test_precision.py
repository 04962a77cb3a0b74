"""A CPU that only emulates bfloat16 computes in float32, unless the study demands bfloat16, which is reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster.resources import bfloat16
from pipelines.study.inputs import precision
from pipelines.study.inputs.precision import precision_notes
from pipelines.study.spec.study import Study
from tests.support.studies import scripted_study


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_native_bfloat16", lambda: False)
    monkeypatch.setattr(precision, "bfloat16_slowdown", lambda: 11.4)


def study(model: dict[str, Any], recipe: dict[str, Any] | None = None) -> Study:
    models = {name: {"source": name, "engine": "scripted"} for name in ("small", "large", "scorer")}
    content: dict[str, Any] = {"models": models | {"large": {"engine": "transformers", "source": "large"} | model}}
    if recipe is not None:
        content |= {"recipes": {"sft": recipe}, "students": [{"model": "large", "recipe": "sft"}]}
    return scripted_study(**content)


@pytest.mark.usefixtures("emulated")
def test_explicit_bfloat16_is_reported_with_its_factor_for_models_and_recipes():
    first, second = precision_notes(study({"dtype": "bfloat16"}, {"precision": "bfloat16"}))
    assert first.startswith("models.large: bfloat16 takes 11 times as long as float32")
    assert second.startswith("recipes.sft: bfloat16 takes 11 times as long")


@pytest.mark.usefixtures("emulated")
def test_auto_is_reported_once():
    (note,) = precision_notes(study({}, {}))
    assert "it is float32" in note


@pytest.mark.usefixtures("emulated")
def test_gpus_and_models_without_weights_are_not_concerned():
    assert precision_notes(study({"dtype": "bfloat16", "gpus": 1}, {"precision": "bfloat16"})) == []
    assert precision_notes(study({"engine": "scripted", "dtype": "bfloat16"})) == []


@pytest.mark.parametrize(
    ("info", "native"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16\n", True),
        ("processor : 0\nflags : fpu avx2\n", False),
        ("Features\t: fp asimd bf16\n", True),
        ("Features\t: fp asimd\n", False),
    ],
)
def test_the_cpu_says_what_it_can(info: str, native: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "cpuinfo").write_text(info)
    monkeypatch.setattr(bfloat16, "CPU_INFO", tmp_path / "cpuinfo")
    bfloat16.has_native_bfloat16.cache_clear()
    assert bfloat16.has_native_bfloat16() == native
    bfloat16.has_native_bfloat16.cache_clear()
