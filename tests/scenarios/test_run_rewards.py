"""Rewards on Ray by the bundled reward model: numbers of the plain model; only new columns when a study grows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import bundled
from pipelines.rows.arrow import from_table
from pipelines.rows.types import ChosenRow, ResponseRow, RewardRow
from pipelines.store.store import Store
from pipelines.study.file.load import load
from pipelines.study.graph.build import build
from tests.scenarios.test_run import go

pytestmark = [pytest.mark.usefixtures("ray_local"), pytest.mark.timeout(600)]
STUDY = """\
study: rewarded
seeds:
  - {{name: world, world: {{count: 12}}}}
models:
  small: {{source: small, engine: scripted, cpus: 0.1}}
  judge: {{source: "bundled:tiny-1m-reward", engine: classifier, cpus: 0.2, max_length: 256}}
  labels:
    source: "bundled:tiny-1m-nli"
    engine: classifier
    cpus: 0.2
    max_length: 256
    options: {{reward_index: 1}}
evolution: {{evolvers: [small], rounds: 1}}
responses:
  teachers: [small]
  decodings:
    - {{name: greedy, max_tokens: 20}}
    - {{name: best, draw: best-of, temperature: 0.8, candidates: 3, reward: judge, max_tokens: 20}}
rewards: [{rewards}]
"""


def write(folder: Path, rewards: str = "judge") -> Path:
    path = folder / "study.yaml"
    path.write_text(STUDY.format(rewards=rewards))
    return path


def plain_reward(row: ResponseRow) -> float:
    """By the model as transformers runs it, one conversation at a time."""
    folder = bundled.path("tiny-1m-reward")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    turns = [{"role": "user", "content": row.instruction}, {"role": "assistant", "content": row.response}]
    ids = tokenizer.apply_chat_template(turns, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        return model(ids).logits.item()


def test_rewards_are_those_of_the_plain_model_and_a_second_model_runs_its_own_column(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    summary, _ = go(write(tmp_path), store)
    assert (summary.failures, summary.executed) == ([], 1 + 1 + 2 * (1 + 2) + 4)
    loaded = load(write(tmp_path))
    grid = build(loaded.study, loaded.folder)
    for pairs in grid.sets:
        row_type = ResponseRow if pairs.decoding == "greedy" else ChosenRow
        answers = {row.id: row for row in from_table(row_type, store.rows(pairs.responses.kind, pairs.responses.key))}
        step = pairs.reward("judge")
        assert step
        judged = from_table(RewardRow, store.rows(step.kind, step.key))
        assert {row.parent_id for row in judged} == set(answers)
        assert judged[0].reward == pytest.approx(plain_reward(answers[judged[0].parent_id]), abs=1e-4)
        for row in judged if pairs.decoding == "best" else ():
            chosen = answers[row.parent_id]
            assert isinstance(chosen, ChosenRow) and row.reward == pytest.approx(max(chosen.rewards), abs=1e-4)
    summary, _ = go(write(tmp_path, "judge, labels"), store)
    assert (summary.failures, summary.executed, summary.reused) == ([], 4, 12)
