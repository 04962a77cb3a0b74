"""The JSON Schema that editors use agrees with the loader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from pipelines.study.file.json_schema import node_at, schema
from pipelines.study.file.load import load
from pipelines.study.file.yaml_tree import parse

STUDIES = sorted((Path(__file__).parents[4] / "studies").rglob("*.yaml"))
Validator = jsonschema.Draft202012Validator


def test_the_schema_is_a_valid_draft_2020_12_schema() -> None:
    Validator.check_schema(schema())


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_shipped_study_fits_the_schema(path: Path) -> None:
    Validator(schema()).validate(parse(path.read_text(), path.name).value)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("study: small", "studdy: small"),
        ("engine: scripted", "engin: scripted"),
        ("  quick:\n", "  Quick!:\n"),
        ("epochs: 1", "epochs: 0"),
        ("engine: scripted", "engine: other"),
        ("evolvers: [tiny]", "evolvers: [tiny]\n  elimination: {judgee: tiny}"),
        ("evolvers: [tiny]", "evolvers: [tiny]\n  elimination: yes please"),
    ],
)
def test_what_the_loader_refuses_the_schema_refuses(write_study: Callable[..., Path], old: str, new: str) -> None:
    validator = Validator(schema())
    assert validator.is_valid(parse(write_study().read_text(), "study.yaml").value)
    assert not validator.is_valid(parse(write_study({old: new}).read_text(), "study.yaml").value)


@pytest.mark.parametrize("elimination", ["true", "false", "{}", "{judge: tiny, sorry_words: 40}"])
def test_a_block_can_be_written_out_or_only_switched_on(write_study: Callable[..., Path], elimination: str) -> None:
    path = write_study({"evolvers: [tiny]": f"evolvers: [tiny]\n  elimination: {elimination}"})
    Validator(schema()).validate(parse(path.read_text(), "study.yaml").value)
    assert (load(path).study.evolution[0].elimination is None) == (elimination == "false")


def test_a_place_of_the_study_is_found_through_maps_lists_and_options() -> None:
    assert (node_at(("models", "any", "engine")) or {})["enum"] == [
        "auto",
        "transformers",
        "vllm",
        "classifier",
        "http",
        "scripted",
    ]
    assert (node_at(("seeds", 0, "world", "count")) or {})["type"] == "integer"
    assert (node_at(("seeds", 0, "limit")) or {})["type"] == "integer"
    assert node_at(("models", "any", "nothing")) is None
