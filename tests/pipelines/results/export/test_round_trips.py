"""What evolgrid exports, it can read as seeds: every format, whatever the texts are."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.results.export import Format
from pipelines.results.export.datasets import write_records
from pipelines.results.export.formats import RECORDS
from pipelines.rows.readers import read_seeds
from pipelines.rows.text import user_turn
from pipelines.rows.types import PairRow

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
SAID = TEXT.filter(str.strip)
HISTORY = st.lists(st.tuples(SAID, TEXT), max_size=3).map(lambda turns: [text for turn in turns for text in turn])
PAIR = st.builds(
    PairRow, TEXT, TEXT, TEXT, st.integers(0, 9), SAID, TEXT, TEXT, st.just(0.0), st.just("") | SAID, HISTORY
)
PAIRS = st.lists(PAIR, min_size=1, max_size=5)


@pytest.mark.parametrize("form", get_args(Format))
@settings(max_examples=60, deadline=None)
@given(pairs=PAIRS)
def test_an_exported_row_is_read_as_it_was(form: Format, pairs: list[PairRow]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "export.parquet" if form == "parquet" else "export.jsonl")
        write_records(path, map(RECORDS[form], pairs))
        read = read_seeds(path)
    assert not read.bad and not any(row.notes for row in read.rows)
    assert [(row.system, [*row.history], row.output) for row in read.rows] == [
        (pair.system, pair.history, pair.response) for pair in pairs
    ]
    asked = [(pair.instruction, pair.input) for pair in pairs]
    wanted = asked if form == "alpaca" else [(user_turn(*each), "") for each in asked]
    assert [(row.instruction, row.input) for row in read.rows] == wanted
