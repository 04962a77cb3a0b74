"""The card of an export states where seeds are from, and their licence if all of them have the same one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from actors.engine import EngineSpec
from actors.engines.scripted_engine import ScriptedEngine
from pipelines.results.export.datasets import export_sets
from pipelines.store.store import Store
from tests.support.hub_cache import COMMIT, hub_cache, snapshot
from tests.support.offline import run_offline
from tests.support.studies import scripted_study

OTHER = "license: other\nlicense_name: llama3\nlicense_link: https://example.org/terms"


def card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *headers: str, models: dict[str, str] | None = None, **more: Any
) -> tuple[dict[str, Any], str]:
    """The header and text of the card of an export of seeds whose cards have these headers, and of `more` seeds.

    `models` are the headers of the cards of the models; by default, those of the first seeds.
    """
    cache = hub_cache(tmp_path / "hub", monkeypatch)
    for number, header in enumerate(headers):
        row = {"instruction": f"Count to {number}."}
        snapshot(cache, f"org/set{number}", {"train.jsonl": json.dumps(row)}, header)
    seeds: list[dict[str, Any]] = [
        {"name": f"set{number}", "hub": f"org/set{number}", "revision": COMMIT} for number in range(len(headers))
    ]
    seeds += [{"name": name} | entry for name, entry in more.items()]
    for name, model_header in (models or dict.fromkeys(("small", "large"), headers[0])).items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(f'{{"name": "{name}"}}')  # equal folders are one model
        (tmp_path / name / "README.md").write_text(f"---\n{model_header}\n---\n")
    study = scripted_study(
        seeds=seeds,
        models={name: {"source": f"./{name}"} for name in ("small", "large")},
        evolution={"evolvers": ["small"], "rounds": 1},
        scoring=None,
    )
    store = Store(str(tmp_path / "store"))
    engines = {name: ScriptedEngine(EngineSpec("scripted", name)) for name in study.models}
    monkeypatch.chdir(tmp_path)
    grid = run_offline(study, store, engines)
    export_sets(store, study, grid, tmp_path / "out", "alpaca", home=tmp_path)
    _, header, text = (tmp_path / "out" / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(header), text


def licence(header: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in header.items() if key.startswith("license")}


def test_a_licence_that_all_seeds_have_is_in_the_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header, text = card(tmp_path, monkeypatch, OTHER, OTHER)
    assert licence(header) == yaml.safe_load(OTHER)
    assert (
        f"| set0 | https://huggingface.co/datasets/org/set0 | {COMMIT} | not stated | other - llama3 - https://" in text
    )


def test_several_licences_of_one_set_are_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header, _ = card(tmp_path, monkeypatch, "license: [mit, cc-by-4.0]")
    assert licence(header) == {"license": ["mit", "cc-by-4.0"]}


def test_different_licences_are_listed_by_source_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header, text = card(tmp_path, monkeypatch, "license: mit", "license: apache-2.0")
    assert licence(header) == {}
    assert (
        f"org/set0 | {COMMIT} | not stated | mit |" in text
        and f"org/set1 | {COMMIT} | not stated | apache-2.0 |" in text
    )


def test_a_source_without_a_stated_licence_leaves_it_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.jsonl").write_text('{"instruction": "Count."}')
    header, text = card(tmp_path, monkeypatch, "license: mit", own={"file": ["own.jsonl"]})
    assert licence(header) == {}
    assert "| own | own.jsonl | - | not stated | not stated |" in text
    assert "- Unknown licence: own. Ask the owner" in text


def test_a_model_of_another_licence_leaves_it_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = {"small": "license: mit", "large": "license: llama3"}
    header, text = card(tmp_path, monkeypatch, "license: mit\nlanguage: [en, de]", models=models)
    assert licence(header) == {} and header["language"] == ["de", "en"]
    assert "- The licence of the model large (llama3) does not allow its outputs to improve other language" in text


def test_the_models_that_only_score_are_not_among_the_writers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, text = card(tmp_path, monkeypatch, "license: mit")
    writers = text.split("## Models that wrote the rows")[1]
    assert "| small | small | - | mit |" in writers and "| large | large | - | mit |" in writers
