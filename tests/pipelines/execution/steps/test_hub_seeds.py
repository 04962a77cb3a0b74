"""Seeds on the hub are read from the local cache without a network, by their commit."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.errors import InputError
from pipelines.execution.steps.seeds import run_seeds
from pipelines.planning.plan import Plan, make_plan
from pipelines.planning.seed_sets import seed_notes
from pipelines.planning.workload import ASSUMED_SEEDS
from pipelines.rows.arrow import from_table
from pipelines.rows.types import InstructionRow, ResponseRow
from pipelines.store.manifest import Manifest
from pipelines.store.store import Store
from pipelines.study.graph.build import build
from pipelines.study.spec.study import Study
from tests.support.hub_cache import COMMIT, hub_cache, snapshot
from tests.support.offline import run_offline
from tests.support.studies import scripted_study

NAME = "org/name"


def lines(first: int, last: int) -> str:
    return "".join(json.dumps({"prompt": f"Count to {n}.", "gold": f"{n}"}) + "\n" for n in range(first, last))


def parquet(first: int, last: int) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([{"instruction": f"Count to {n}."} for n in range(first, last)]), buffer)
    return buffer.getvalue()


def study_of(**seeds: object) -> Study:
    return scripted_study(seeds=[{"name": "own", "hub": NAME, "revision": COMMIT} | seeds])


def run(store: Store, **seeds: object) -> Manifest:
    study = study_of(**seeds)
    (step,) = (step for step in build(study, Path()).steps.values() if step.kind == "seeds")
    return run_seeds(study, Path(), store, step)


def instructions(store: Store, manifest: Manifest) -> list[str]:
    return [row.instruction for row in from_table(InstructionRow, store.rows("seeds", manifest.key))]


def plan(store: Store, **seeds: object) -> tuple[Plan, set[float], list[str]]:
    found = make_plan(study_of(**seeds), Path(), store)
    rows = {found.workloads[key].rows_out for key, step in found.grid.steps.items() if step.kind == "seeds"}
    return found, rows, seed_notes(found.grid.steps, found.done, Path(), store)


def test_shards_are_one_seed_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, cache = Store(str(tmp_path / "store")), hub_cache(tmp_path / "hub", monkeypatch)
    files = {"data/train-00000-of-00002.parquet": parquet(0, 3), "data/train-00001-of-00002.parquet": parquet(3, 5)}
    snapshot(cache, NAME, {**files, "data/test-00000-of-00001.parquet": parquet(9, 10)})
    assert plan(store)[1:] == ({5}, [])
    assert plan(store, split="test")[1] == {1}
    assert instructions(store, run(store)) == [f"Count to {n}." for n in range(5)]


def test_configs_columns_and_limits_are_those_of_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, cache = Store(str(tmp_path / "store")), hub_cache(tmp_path / "hub", monkeypatch)
    card = "configs: [{config_name: en, data_files: [{split: train, path: 'en*.jsonl'}]}, {config_name: de}]"
    snapshot(cache, NAME, {"en1.jsonl": lines(0, 2), "en2.jsonl": lines(2, 4), "de.jsonl": lines(5, 6)}, card)
    manifest = run(store, config="en", limit=3, columns={"output": "gold"})
    assert instructions(store, manifest) == ["Count to 0.", "Count to 1.", "Count to 2."]


def test_a_missing_config_or_split_is_told_with_those_that_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, cache = Store(str(tmp_path / "store")), hub_cache(tmp_path / "hub", monkeypatch)
    snapshot(cache, NAME, {"train.jsonl": lines(0, 2)}, "configs: [{config_name: en, data_files: train.jsonl}]")
    with pytest.raises(InputError, match=r"org/name: has no config 'fr', .* Its configs are en\."):
        run(store, config="fr")
    with pytest.raises(InputError, match=r"org/name: has no split 'test', .* Its splits are train\."):
        run(store, split="test")
    assert not [path for path in (tmp_path / "store").rglob("*") if path.is_file()]


def test_without_a_network_and_a_cache_the_rows_are_assumed_and_the_run_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path / "store"))
    hub_cache(tmp_path / "hub", monkeypatch)
    _, rows, (note,) = plan(store)
    assert rows == {ASSUMED_SEEDS}
    assert "not in the local cache of the hub" in note and note.endswith("1,000 rows are assumed")
    assert plan(store, limit=7)[1] == {7}
    with pytest.raises(InputError) as caught:
        run(store)
    assert str(caught.value).startswith(f"org/name: commit {COMMIT[:12]} is not in the local cache")
    assert f"'hf download org/name --repo-type dataset --revision {COMMIT}'" in str(caught.value)
    assert "HF_HUB_OFFLINE=1" in str(caught.value) and "\n" not in str(caught.value)


def test_a_part_of_the_files_is_not_taken_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, cache = Store(str(tmp_path / "store")), hub_cache(tmp_path / "hub", monkeypatch)
    snapshot(cache, NAME, {"data/train-00000-of-00002.parquet": parquet(0, 3)})
    with pytest.raises(InputError, match=r"lacks 1 of 2 shards.*hf download"):
        run(store)


def test_files_that_the_hub_has_and_the_cache_lacks_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, cache = Store(str(tmp_path / "store")), hub_cache(tmp_path / "hub", monkeypatch)
    folder = snapshot(cache, NAME, {"train1.jsonl": lines(0, 3), "train2.jsonl": lines(3, 5)})
    names = {name: {"size": 1, "blob_id": "0" * 40} for name in ("README.md", "train1.jsonl", "train2.jsonl")}
    listing = folder.parents[1] / "trees" / f"{COMMIT}.json"
    listing.parent.mkdir()
    listing.write_text(json.dumps({"format_version": 1, "files": names}))
    assert plan(store)[1] == {5}
    (folder / "train2.jsonl").unlink()
    assert plan(store, on_bad_row="quarantine")[1] == {ASSUMED_SEEDS}
    with pytest.raises(InputError, match="not in the local cache"):
        run(store)


def test_the_key_is_that_of_the_commit_and_needs_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def key() -> str:
        return next(key for key, step in build(study_of(), Path()).steps.items() if step.kind == "seeds")

    hub_cache(tmp_path / "none", monkeypatch)
    before = key()
    snapshot(hub_cache(tmp_path / "hub", monkeypatch), NAME, {"train.jsonl": lines(0, 2)})
    assert key() == before


def test_the_manifest_keeps_the_licence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, cache = Store(str(tmp_path / "store")), hub_cache(tmp_path / "hub", monkeypatch)
    card = "license: other\nlicense_name: llama3\nlicense_link: https://example.org/terms"
    snapshot(cache, NAME, {"train.jsonl": lines(0, 2)}, card)
    manifest = store.manifest("seeds", run(store).key)
    assert manifest.licence == {"ids": ["other"], "name": "llama3", "link": "https://example.org/terms"}


def test_answers_of_another_column_are_those_of_the_same_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, cache = Store(str(tmp_path / "store")), hub_cache(tmp_path / "hub", monkeypatch)
    snapshot(cache, NAME, {"train.jsonl": lines(0, 3)})
    study = scripted_study(
        seeds=[{"name": "own", "hub": NAME, "revision": COMMIT}],
        evolution=[],
        responses={"given": [{"name": "gold", "column": "gold"}]},
        scoring=None,
    )
    (pairs,) = run_offline(study, store).sets
    rows = from_table(ResponseRow, store.rows(pairs.responses.kind, pairs.responses.key))
    assert [row.response for row in rows] == ["0", "1", "2"]
