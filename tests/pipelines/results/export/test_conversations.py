"""Whole conversations are exported, each format in its own columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.results.export import Format
from pipelines.results.export.datasets import export_sets, write_records
from pipelines.results.export.formats import RECORDS, preference
from pipelines.results.export.preferences import DpoRow
from pipelines.rows.readers import read_seeds
from pipelines.rows.types import ResponseRow
from pipelines.store.store import Store
from tests.support.offline import run_offline
from tests.support.studies import scripted_study

FORMS: tuple[Format, ...] = ("alpaca", "sharegpt", "messages", "parquet")
TALK = ResponseRow(
    "a" * 32, "", "a" * 32, 0, "And a fish?", "In Peru.", "Une truite.", "stop", 1, 1,
    system="Answer in French.", history=["Name a bird.", "Un condor."],
)  # fmt: skip
PLAIN = ResponseRow("b" * 32, "", "b" * 32, 1, "Say 1.", "", "1", "stop", 1, 1)


def test_all_rows_of_a_file_have_the_same_columns(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    assert write_records(path, map(RECORDS["alpaca"], [PLAIN, TALK])) == (
        2, ("instruction", "input", "output", "system", "history"),
    )  # fmt: skip
    plain, talk = map(json.loads, path.read_text().splitlines())
    assert (plain["system"], plain["history"]) == ("", [])
    assert (talk["system"], talk["history"]) == ("Answer in French.", [["Name a bird.", "Un condor."]])
    assert write_records(path, [RECORDS["alpaca"](PLAIN)]) == (1, ("instruction", "input", "output"))


def test_preferences_after_a_conversation_are_lists_of_turns() -> None:
    row = DpoRow("And a fish?", "Une truite.", "A trout.", (("system", "Answer in French."),))
    assert preference(row, conversational=True) == {
        "prompt": [
            {"role": "system", "content": "Answer in French."},
            {"role": "user", "content": "And a fish?"},
        ],
        "chosen": [{"role": "assistant", "content": "Une truite."}],
        "rejected": [{"role": "assistant", "content": "A trout."}],
    }
    assert preference(row, conversational=False) == {
        "prompt": "And a fish?", "chosen": "Une truite.", "rejected": "A trout.",
    }  # fmt: skip


@pytest.mark.parametrize("conversational", [False, True])
def test_a_preferences_prompt_and_chosen_answer_are_read_back(tmp_path: Path, conversational: bool) -> None:
    before = (("system", "Answer in French."), ("user", "Name a bird."), ("assistant", "Un condor."))
    row = DpoRow("And a fish?", "Une truite.", "A trout.", before if conversational else ())
    write_records(tmp_path / "rows.dpo.jsonl", [preference(row, conversational)])
    (read,) = read_seeds(tmp_path / "rows.dpo.jsonl").rows
    assert (read.instruction, read.output) == ("And a fish?", "Une truite.")
    assert (read.system, read.history) == (
        ("Answer in French.", ("Name a bird.", "Un condor.")) if conversational else ("", ())
    )


@pytest.mark.parametrize("form", FORMS)
def test_a_studys_conversations_are_exported_whole_and_described(tmp_path: Path, form: Format) -> None:
    seeds = tmp_path / "seeds.jsonl"
    turns: list[Any] = [
        *({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Name a bird."}),
        *({"role": "assistant", "content": "Owl."}, {"role": "user", "content": "Another!"}),
    ]
    seeds.write_text(json.dumps({"messages": turns}) + "\n" + json.dumps({"instruction": "Name a fish."}) + "\n")
    store = Store(str(tmp_path / "store"))
    study = scripted_study(
        seeds=[{"name": "talks", "file": str(seeds)}],
        evolution={"evolvers": ["small"], "rounds": 1},
        responses={"teachers": ["large"], "answer_seeds": True},
        scoring=None,
    )
    files = export_sets(store, study, run_offline(study, store), tmp_path / "data", form)
    for file in files:
        talk, plain = sorted(read_seeds(file.path).rows, key=lambda row: not row.history)
        assert (talk.system, [*talk.history]) == ("Be brief.", ["Name a bird.", "Owl."])
        assert (plain.system, plain.history) == ("", ()) and talk.output and plain.output
        assert f"| {file.path.name} | 2 | {', '.join(file.columns)} |" in (tmp_path / "data/README.md").read_text()
    described = json.loads((tmp_path / "data/dataset_info.json").read_text())
    assert {one["file_name"] for one in described.values()} == {file.path.name for file in files}
    if form == "alpaca":
        assert all(one["columns"]["history"] == "history" for one in described.values())
        assert all(one["columns"]["system"] == "system" for one in described.values())
