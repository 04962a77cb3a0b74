"""The numbers of finished evaluations: from the report if it has them, otherwise computed from the answers."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from pipelines.results.report.collect.results import benchmark_numbers, task_scores
from pipelines.results.report.data.report import Result
from pipelines.results.report.data.task_scores import LevelMean, TaskScores
from pipelines.rows.arrow import from_table
from pipelines.rows.types import AnswerRow
from pipelines.store.studies.graph_record import CellNode
from pipelines.study.spec.evaluation.benchmarks import Benchmark
from pipelines.ui.reading.reader import StoreReader, StudyState

Coordinates = tuple[str, ...]
PLACE = ("student", "recipe", "seeds", "evolver", "round", "teacher", "decoding", "selection", "answer_seed", "seed")


def reported_results(reader: StoreReader, state: StudyState) -> dict[Coordinates, list[Result]]:
    """Return the results of the study's last report, by the coordinates of a cell and the benchmark."""
    try:
        text = reader.file(state, "report", "results.csv").decode()
    except FileNotFoundError:
        return {}
    found: dict[Coordinates, list[Result]] = {}
    for line in csv.DictReader(io.StringIO(text)):
        found.setdefault((*(line[name] for name in PLACE), line["benchmark"]), []).append(_result_of_line(line))
    return found


def coordinates(cell: CellNode, benchmark: str) -> Coordinates:
    """Return the coordinates of a cell and a benchmark, as texts of the report's file."""
    values = (getattr(cell, name) for name in PLACE)
    return (*("" if value is None else str(value) for value in values), benchmark)


def computed_results(reader: StoreReader, state: StudyState, cell: CellNode, name: str, key: str) -> list[Result]:
    """Return the results of a finished evaluation of a cell, computed from its rows."""
    rows = answers(reader, state, key)
    trained = state.finished.get(cell.train)
    place = cell.model_dump(exclude={"train", "evaluations"})
    numbers = benchmark_numbers(benchmark(reader, state, name, key), rows, Path())
    return [
        Result(
            benchmark=name,
            metric=number.metric,
            rows=trained.account.rows_out if trained else 0,
            value=number.value,
            low=number.low,
            high=number.high,
            by_level=number.by_level,
            **place,
        )
        for number, _ in numbers
    ]


def points(reader: StoreReader, state: StudyState, name: str, key: str) -> dict[str, TaskScores]:
    """Return the points of every task of a finished evaluation, by measure."""
    return task_scores(benchmark(reader, state, name, key), answers(reader, state, key))


def answers(reader: StoreReader, state: StudyState, key: str) -> list[AnswerRow]:
    """Return the answers of a finished evaluation."""
    manifest = reader.manifest(state, key)
    return from_table(AnswerRow, reader.store.rows(manifest.kind, key))


def benchmark(reader: StoreReader, state: StudyState, name: str, key: str) -> Benchmark:
    """Return the benchmark of an evaluation as its manifest describes it: enough to compute its scores."""
    described = reader.manifest(state, key).payload.get("benchmark", {})
    given: dict[str, Any] = {field: value for field, value in described.items() if value is not None}
    return Benchmark.model_construct(_fields_set=None, **(given | {"name": name}))


def _result_of_line(line: dict[str, str]) -> Result:
    levels = json.loads(line["by_level"] or "{}")
    numbers: dict[str, Any] = {name: float(line[name]) for name in ("value", "low", "high")}
    numbers |= {name: int(line[name]) for name in ("round", "rows", "runs")}
    numbers |= {name: int(line[name]) if line[name] else None for name in ("answer_seed", "seed")}
    numbers["spread"] = float(line["spread"]) if line["spread"] else None
    numbers["by_level"] = tuple(LevelMean(int(level), mean) for level, mean in levels.items())
    return Result(**{field.name: numbers.get(field.name, line[field.name]) for field in fields(Result)})
