"""A key depends on everything in a description. Values that cannot be described raise an error."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.study.graph.steps.fingerprint import fingerprint, hash_model


@dataclass(frozen=True)
class Point:
    x: int
    y: float


def test_equal_descriptions_have_equal_keys_whatever_the_order() -> None:
    assert fingerprint({"a": 1, "b": (1, 2)}) == fingerprint({"b": [1, 2], "a": 1})


@pytest.mark.parametrize("other", [{"a": 2}, {"a": "1"}, {"a": True}, {"a": None}, {"b": 1}, {"a": 1, "b": None}])
def test_any_difference_makes_another_key(other: object) -> None:
    assert fingerprint({"a": 1}) != fingerprint(other)


def test_a_whole_number_is_the_same_whether_written_as_float_or_int() -> None:
    assert fingerprint(Point(1, 2.0)) == fingerprint({"x": 1, "y": 2})


@pytest.mark.parametrize("unknown", [object(), {1, 2}, b"bytes", Path("x"), {1: "x"}])
def test_what_it_does_not_know_raises(unknown: object) -> None:
    with pytest.raises(TypeError):
        fingerprint({"value": unknown})


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_without_a_value_raise(number: float) -> None:
    with pytest.raises(ValueError):
        fingerprint(number)


def test_a_model_folder_is_its_content_and_not_its_path(tmp_path: Path) -> None:
    for name, content in (("a", "{}"), ("b", "{}"), ("c", "{ }")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(content)
    assert hash_model(tmp_path / "a") == hash_model(tmp_path / "b") != hash_model(tmp_path / "c")
