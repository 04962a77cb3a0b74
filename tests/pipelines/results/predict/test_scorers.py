"""Several scorers: students are predicted by their own base's scores, and tables name the scorer."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from statistics import fmean
from typing import Any

from actors.engine import EngineSpec, LogprobRequest, TokenLogprobs
from actors.engines.scripted_engine import ScriptedEngine
from pipelines.results.predict.points import collect_points
from pipelines.results.report.collect.collect import collect_report
from pipelines.results.report.page import report_files
from pipelines.store.store import Store
from pipelines.study.graph.steps.grid import Grid
from pipelines.study.spec.study import Study
from tests.support.offline import run_offline
from tests.support.studies import STUDENTS, scripted_study

LOSSES = {"small": 1.0, "large": 2.0, "scorer": 4.0}


class Flat(ScriptedEngine):
    """Gives every token the same loss."""

    def __init__(self, name: str) -> None:
        super().__init__(EngineSpec("scripted", name))
        self.loss = LOSSES[name]

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        values = (None, *[-self.loss] * 3)
        return TokenLogprobs(request.id, 2, values, values, (2, 2, 2))


def finished(store: Store, scoring: Any) -> tuple[Study, Grid]:
    changes = STUDENTS | {"scoring": scoring, "rewards": ["scorer"], "car": {"betas": [1.0]}}
    study = scripted_study(**changes, responses={"teachers": ["small"]}, evolution=[])
    return study, run_offline(study, store, {name: Flat(name) for name in ("small", "large", "scorer")})


def test_a_students_own_base_is_its_scorer(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    study, grid = finished(store, [{"scorer": "scorer"}, {"scorer": "self"}])
    (point,) = collect_points(study, grid, store)
    for base in ("small", "large"):
        metrics = point.for_students_of(base)
        reward = metrics["reward scorer"]
        assert metrics["ic_ifd self"] == 1 / LOSSES[base] and metrics["ic_ifd scorer"] == 1 / LOSSES["scorer"]
        assert metrics["car scorer, beta 1 self"] == reward / (1 + LOSSES[base])
        assert metrics["car scorer, beta 1 scorer"] == reward / (1 + LOSSES["scorer"])
        assert not any("loss" in name for name in metrics)
        assert metrics["length_answer self"] == metrics["length_answer scorer"] == 2, (
            "answers are counted by the scorers"
        )


def test_tables_name_the_scorer_only_among_several(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    study, grid = finished(store, [{"scorer": "scorer"}, {"scorer": "self"}])
    data = collect_report(study, tmp_path, grid, store)
    files = report_files(data)
    (row,) = csv.DictReader(io.StringIO(files["sets.csv"]))
    assert [float(row[name]) for name in ("ic_ifd scorer", "ic_ifd self small", "ic_ifd self large")] == [0.25, 1, 0.5]
    assert "ic_ifd" not in row
    assert {one.score for one in data.distributions} >= {"ifd scorer", "ifd self small", "ifd self large"}
    by_scorer = {each.scorer: each for each in data.cars}
    assert {name: each.loss for name, each in by_scorer.items()} == {"scorer": 4, "self small": 1, "self large": 2}
    for page in ("index.html", "report.md"):
        assert "IC-IFD self large" in files[page] and files[page].count("IC-IFD divides IFD") <= 1

    study, grid = finished(store, {"scorer": "self"} | {"name": "own"})
    data = collect_report(study, tmp_path, grid, store)
    (row,) = csv.DictReader(io.StringIO(report_files(data)["sets.csv"]))
    assert float(row["ic_ifd own large"]) == 0.5, "one scorer, but several models"

    study, grid = finished(store, {"scorer": "scorer"})
    data = collect_report(study, tmp_path, grid, store)
    (row,) = csv.DictReader(io.StringIO(report_files(data)["sets.csv"]))
    assert float(row["ic_ifd"]) == fmean([0.25]) and {each.scorer for each in data.cars} == {""}
