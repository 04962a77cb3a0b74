"""Real tiny models all the way: evolved, answered, scored, selected, trained, examined, reported."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import torch
from peft import AutoPeftModelForCausalLM
from rich.console import Console
from transformers import AutoModelForCausalLM

from pipelines.execution.runner import Summary, run
from pipelines.execution.runtime.events import log_to
from pipelines.results.export.students import export_students
from pipelines.rows.arrow import from_table
from pipelines.rows.types import AnswerRow, ScoreRow
from pipelines.store.store import Store
from pipelines.study.file.load import load
from pipelines.study.graph.build import build

STUDY = """\
study: real
seeds:
  - {name: world, world: {count: 24}}
models:
  chat: {source: "bundled:tiny-1m-chat", max_length: 512, cpus: 0.3}
  base: {source: "bundled:tiny-1m-base", max_length: 512, cpus: 0.5, dtype: float32}
evolution:
  evolvers: [chat]
  rounds: 1
  sampling: {temperature: 0.7, top_p: 0.95, max_tokens: 64}
responses:
  teachers: [chat]
  decodings: [{name: greedy, max_tokens: 32}, {name: cut, max_tokens: 1}]
scoring: {scorer: base}
selection:
  - {name: half, by: ic_ifd, keep: 0.5}
recipes:
  quick: {learning_rate: 1.0e-3, epochs: 2, batch_size: 8, micro_batch_size: 8, max_length: 128}
  adapter: {tuning: lora, learning_rate: 1.0e-3, epochs: 1, batch_size: 8, micro_batch_size: 8, max_length: 128}
students:
  - {model: base, recipe: quick}
  - {model: base, recipe: adapter}
benchmarks:
  - {name: world, world: {count: 12}, max_tokens: 16}
"""


def go(folder: Path, text: str = STUDY) -> tuple[Summary, Store]:
    (folder / "study.yaml").write_text(text)
    store = Store(str(folder / "store"))
    return run(load(folder / "study.yaml"), store, None, Console(file=io.StringIO(), width=200)), store


def exported_students_load(store: Store, folder: Path) -> None:
    loaded = load(folder / "study.yaml")
    found = export_students(store, loaded, build(loaded.study, folder), folder / "out")
    assert len({*found}) == 4
    for path in found:
        model = AutoModelForCausalLM.from_pretrained(path)
        card = (path / "README.md").read_text()
        assert "| epochs |" in card and "| world |" in card
        if "| tuning | lora |" in card:
            apart = AutoPeftModelForCausalLM.from_pretrained(path / "adapter", dtype=model.dtype)
            ids = torch.arange(8)[None]
            torch.testing.assert_close(apart(ids).logits, model(ids).logits, rtol=1e-3, atol=1e-3)


@pytest.mark.usefixtures("ray_local")
def test_a_whole_study_with_real_models_in_which_students_without_data_hold_back_no_others(tmp_path: Path) -> None:
    with log_to(str(tmp_path / "log.jsonl"), Store(str(tmp_path / "store")), "real"):
        summary, store = go(tmp_path)
    told = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    lost = [f"{each['label']}: {each['reason']}" for each in told if each["event"] == "step failed"]
    assert sorted(lost) == sorted(summary.failures)
    assert summary.failures and all("/ chat cut / half" in failure for failure in summary.failures)
    assert summary.executed == len(store.finished_keys())
    assert len(store.keys("train")) == 4, "those with whole answers"
    assert len(store.keys("evaluate")) == 5

    for key in store.keys("score"):
        for row in from_table(ScoreRow, store.rows("score", key)):
            assert row.ic_ifd == pytest.approx(row.ifd / row.loss_instruction)
    for key in store.keys("evaluate"):
        assert len(from_table(AnswerRow, store.rows("evaluate", key))) == 12
    for key in store.keys("train"):
        manifest = store.manifest("train", key)
        chosen = store.manifest("select", manifest.inputs[0]).account.rows_out
        assert manifest.account.rows_out == chosen >= 10  # the tiny evolver may give a seed back unchanged
        assert len(manifest.extra["losses"]) == manifest.payload["recipe"]["epochs"] * 2
        assert Path(store.address("train", key, "model"), "model.safetensors").is_file()

    exported_students_load(store, tmp_path)
    page = Path(summary.report)
    assert "half" in page.read_text()
    assert len((page.parent / "results.csv").read_text().splitlines()) == 1 + 2 + 4
