"""A study whose engine, method and measure are plug-ins runs on Ray: workers and replicas load them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from cluster.connection.session import Session
from pipelines.execution.runner import run
from pipelines.operators.respond.answer import answer_prompt
from pipelines.store.store import Store
from pipelines.study.check import check
from pipelines.study.file.load import LoadedStudy, load
from pipelines.study.plugins.active import plugin_scope
from tests.support.examples import write_example

STUDY = """\
study: plugged-in
plugins: [./recorded_engine.py, ./shorten.py, ./certainty.py]
seeds: [{name: own, file: seeds.jsonl}]
models:
  small: {source: small, engine: scripted, cpus: 0.1}
  book: {source: book, engine: recorded, options: {file: REPLIES}, cpus: 0.1}
evolution: {method: shorten, evolvers: [small], rounds: 1}
responses: {teachers: [book]}
certainty: small
"""
PLUGINS = ("recorded_engine.py", "shorten.py", "certainty.py")


@pytest.fixture(autouse=True)
def scope() -> Iterator[None]:
    with plugin_scope():
        yield


def study(folder: Path) -> LoadedStudy:
    for name in PLUGINS:
        if not (folder / name).exists():
            write_example(name, folder)
    (folder / "seeds.jsonl").write_text("".join(f'{{"instruction": "Name {n}."}}\n' for n in range(4)))
    replies = {answer_prompt(f"Name {n}.", ""): f"The {n}th of all." for n in range(4)}
    (folder / "replies.json").write_text(json.dumps(replies))
    (folder / "study.yaml").write_text(STUDY.replace("REPLIES", str(folder / "replies.json")))
    loaded = load(folder / "study.yaml")
    check(loaded)
    return loaded


def test_workers_and_replicas_load_plugins(ray_local: Session, tmp_path: Path) -> None:
    loaded, store = study(tmp_path), Store(str(tmp_path / "store"))
    run(loaded, store, ray_local.address, Console(quiet=True))
    (key,) = (key for key in store.keys("respond") if store.rows("respond", key).num_rows == 4)
    assert sorted(store.rows("respond", key).column("response").to_pylist())[0] == "The 0th of all."
    certain = [row for key in store.keys("certainty") for row in store.rows("certainty", key).to_pylist()]
    assert len(certain) >= 4 and all(0 <= row["certainty"] <= 1 for row in certain)
    (step,) = store.keys("shorten")
    assert store.manifest("shorten", step).account.rows_in == 4


def test_a_mistake_in_a_worker_or_a_replica_is_one_line(ray_local: Session, tmp_path: Path) -> None:
    write_example("certainty.py", tmp_path)
    file = tmp_path / "certainty.py"
    file.write_text(file.read_text().replace("math.log(0.5)", "math.log(0)"))
    line = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if "math.log(0)" in text)
    loaded, store = study(tmp_path), Store(str(tmp_path / "store"))
    run(loaded, store, ray_local.address, Console(quiet=True))
    keys = [key for key in store.keys("certainty") if store.manifest("certainty", key).account.rows_in]
    assert keys and all(store.manifest("certainty", key).account.reasons == {"plugin_error": 4} for key in keys)
    told = store.rows("certainty", keys[0], "rejected").column("detail").to_pylist()
    assert {*told} == {f"{file}:{line}: ValueError: math domain error"}
