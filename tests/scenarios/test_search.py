"""A search on Ray with bundled models: it trains a part of the grid, and without it a run trains the rest only."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from pipelines.execution.runner import run
from pipelines.store.store import Store
from pipelines.store.studies.search_log import load_decisions
from pipelines.study.check import check
from pipelines.study.file.load import load
from pipelines.study.graph.build import build

STUDY = """
study: searched
seeds:
  - {name: world, world: {count: 24, levels: [0]}}
models:
  tiny-1m: {source: "bundled:tiny-1m-chat", max_length: 512, cpus: 0.2}
  tiny-4m: {source: "bundled:tiny-4m-chat", max_length: 512, cpus: 0.2}
  base-1m: {source: "bundled:tiny-1m-base", max_length: 512, cpus: 0.6}
responses:
  answer_seeds: true
  teachers: [tiny-1m, tiny-4m]
  decodings:
    - {name: greedy, temperature: 0.0, max_tokens: 16}
    - {name: warm, temperature: 0.7, max_tokens: 16}
scoring: {scorer: base-1m}
recipes:
  lora: {tuning: lora, epochs: 1, batch_size: 8, micro_batch_size: 8, max_length: 128}
students:
  - {model: base-1m, recipe: lora}
benchmarks:
  - {name: world, world: {count: 12, levels: [0]}, max_tokens: 16}
"""
SEARCH = "search: {over: [teacher, decoding], prior: ifd, probe: 8, start: 2, risk: 0.9}\n"


@pytest.mark.timeout(900)  # three runs of Ray
def test_a_search_trains_a_part_of_the_grid_and_without_it_the_rest_is_trained_once(tmp_path: Path) -> None:
    path, store = tmp_path / "study.yaml", Store(str(tmp_path / "store"))

    def run_study(text: str) -> int:
        path.write_text(text)
        loaded = load(path)
        check(loaded)
        return run(loaded, store, None, Console(file=io.StringIO())).executed

    first = run_study(STUDY + SEARCH)
    made = load_decisions(store, "searched")
    assert made[0].reason == "start" and made[-1].reason == "stop" and len(made[0].priors["ifd"]) == 4
    trained = store.keys("train")
    assert 2 <= len(trained) < 4
    assert run_study(STUDY + SEARCH) == 0, "a search that has stopped runs nothing"
    manifests = {key: store.manifest("train", key) for key in trained}
    rest = run_study(STUDY)
    grid = build(load(path).study, tmp_path)
    assert first + rest == len(grid.steps), "no step is run twice"
    assert len(store.keys("train")) == 4
    assert {key: store.manifest("train", key) for key in trained} == manifests
