"""Benchmarks run without the public data, and say so."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from benchmarks.support import public_data
from benchmarks.support.public_data import ALPACA_ORIGIN, alpaca_rows, find_alpaca, synthetic_alpaca
from benchmarks.support.synthetic_answers import FILES, ROWS, synthetic_answers
from pipelines.evaluate.items.data_files import read_records


def test_without_alpaca_the_rows_are_made_up_and_as_long(tmp_path: Path) -> None:
    rows = alpaca_rows(synthetic_alpaca(tmp_path, 3000))
    lengths = {name: [len(row[name].split()) for row in rows if row[name]] for name in public_data.WORDS}
    assert 9 < statistics.mean(lengths["instruction"]) < 11 and 25 < statistics.median(lengths["output"]) < 35
    assert 0.37 < len(lengths["input"]) / len(rows) < 0.43
    assert alpaca_rows(synthetic_alpaca(tmp_path, 3000)) == rows


def test_what_is_used_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(public_data, "COPIES", tmp_path / "none")
    monkeypatch.setattr(public_data, "synthetic_alpaca", lambda folder: synthetic_alpaca(folder, 5))
    made = find_alpaca(None, tmp_path)
    said = capsys.readouterr().out
    assert len(alpaca_rows(made)) == 5 and "SYNTHETIC" in said and ALPACA_ORIGIN in said
    assert find_alpaca(made, tmp_path) == made and str(made) in capsys.readouterr().out


def test_a_file_that_cannot_be_used_is_an_error_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"does not exist: --data takes alpaca_data\.json"):
        find_alpaca(tmp_path / "nowhere.json", tmp_path)
    (tmp_path / "other.jsonl").write_text('{"text": "a"}\n')
    with pytest.raises(SystemExit, match="must have instruction, input, output"):
        alpaca_rows(tmp_path / "other.jsonl")
    (tmp_path / "broken.json").write_text("[")
    with pytest.raises(SystemExit, match="cannot be read as JSON"):
        alpaca_rows(tmp_path / "broken.json")


def test_made_up_answers_have_the_files_and_rows_of_the_public_ones(tmp_path: Path) -> None:
    folder = synthetic_answers(tmp_path)
    assert {name: len(read_records(folder / name)) for name in FILES} == ROWS
