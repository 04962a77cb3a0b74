"""The Croissant description of a pushed data set is read by the library of MLCommons."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.results.hub.repositories import Publication
from pipelines.store.store import Store
from tests.pipelines.results.hub.conftest import Finished
from tests.support.hub_server import HubServer

UNKNOWN = ("datePublished", "version", "citeAs")  # recommended, but nobody has said them
NAME = "world-small-r1-small-greedy"


def described(finished: Finished, hub: HubServer, folder: Path) -> Path:
    what = Publication(Store(finished.store), finished.loaded, finished.grid, "my-org/greetings", hub.url, ())
    (data,) = what.prepare(folder)
    return data.folder


def test_a_description_is_valid_and_its_records_are_the_rows(
    finished: Finished, hub: HubServer, tmp_path: Path
) -> None:
    croissant = pytest.importorskip("mlcroissant")
    folder = described(finished, hub, tmp_path)
    files = {path.name: str(path) for path in folder.glob("*.parquet")}
    read = croissant.Dataset(jsonld=str(folder / "croissant.json"), mapping=files)
    missing = {each for each in read.metadata.issues.warnings if not any(name in each for name in UNKNOWN)}
    assert not read.metadata.issues.errors and not missing
    assert NAME in {each.id for each in read.metadata.record_sets}
    first = next(iter(read.records(NAME)))
    assert first[f"{NAME}/seed_index"] == 0


def test_a_description_says_where_each_file_is_and_what_it_hashes_to(
    finished: Finished, hub: HubServer, tmp_path: Path
) -> None:
    folder = described(finished, hub, tmp_path)
    node = json.loads((folder / "croissant.json").read_text())
    (one,) = [each for each in node["distribution"] if each["name"] == f"{NAME}.sft.parquet"]
    assert one["contentUrl"] == f"{hub.url}/datasets/my-org/greetings/resolve/main/{NAME}.sft.parquet"
    assert len(one["sha256"]) == 64 and one["contentSize"].endswith(" B")
    assert node["inLanguage"] == ["en"] and node["license"] == ["apache-2.0"]
