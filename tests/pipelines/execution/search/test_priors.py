"""The priors of a search: means over the answers of the first seeds, the better the higher."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.execution.search.priors import read_priors
from pipelines.rows.arrow import from_table
from pipelines.rows.types import ScoreRow
from pipelines.search.space import Cell
from pipelines.store.store import Store
from pipelines.study.search_grid import search_grid
from tests.support.offline import run_offline
from tests.support.studies import STUDENTS, scripted_study

PROBE = 7


def test_priors_are_means_over_the_probe_with_the_better_end_up(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    study = scripted_study(
        **STUDENTS,
        evolution=[],
        responses={"teachers": ["small", "large"], "answer_seeds": True},
        search={"over": "teacher", "prior": ["ifd", "ppl_answer", "car"], "probe": PROBE},
    )
    found = search_grid(study, run_offline(study, store))
    assert found
    priors = read_priors(found, store)
    for cell in found.space.cells:
        (pairs,) = found.data_sets(cell)
        assert pairs.scores
        rows = from_table(ScoreRow, store.rows("score", pairs.scores.key))
        probed = [row for row in rows if row.index < PROBE]
        assert len(probed) == PROBE < len(rows)
        assert priors["ifd"][cell] == pytest.approx(sum(row.ifd for row in probed) / PROBE)
        assert priors["ppl_answer"][cell] == pytest.approx(-sum(row.ppl_answer for row in probed) / PROBE)
    assert priors["car"] == {}, "the study has no rewards"
    assert priors["ifd"][Cell("small full", "small")] == priors["ifd"][Cell("large lora", "small")]
