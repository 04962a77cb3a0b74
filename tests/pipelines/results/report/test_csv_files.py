"""The CSV files hold what the page shows, losslessly."""

import csv
import io
import json
from dataclasses import asdict

from pipelines.results.report.csv_files import csv_files
from pipelines.study.spec.pairs.selection import reported_metrics
from tests.pipelines.results.report import sample


def read(name: str, data) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(csv_files(data)[name], newline="")))


def test_results_and_sets_come_back_unchanged():
    data = sample.sample()
    sets = [
        each.set._asdict()
        | dict.fromkeys(reported_metrics())
        | {**each.means}
        | {"rows": each.rows, "valid": each.valid}
        for each in data.sets
    ]
    for name, facts in (("results.csv", [asdict(one) for one in data.results]), ("sets.csv", sets)):
        rows = read(name, data)
        assert len(rows) == len(facts)
        for row, fact in zip(rows, facts, strict=True):
            for field, value in fact.items():
                if isinstance(value, tuple):
                    assert json.loads(row[field]) == {str(key): number for key, number in value}
                elif value is None:
                    assert row[field] == ""
                else:
                    assert type(value)(row[field]) == value


def test_steps_keep_their_reasons_and_account():
    data = sample.sample()
    for row, step in zip(read("steps.csv", data), data.steps, strict=True):
        assert json.loads(row["reasons"]) == dict(step.reasons)
        assert int(row["rows_in"]) == int(row["rows_out"]) + int(row["rejected"]) + int(row["failed"])
        assert row["cached"] == str(step.cached)


def test_losses_have_a_row_per_point():
    data = sample.sample()
    rows = read("losses.csv", data)
    assert len(rows) == sum(len(curve.steps) for curve in data.losses)
    assert float(rows[0]["loss"]) == data.losses[0].losses[0]


def test_an_empty_study_has_headers_only():
    assert all(content.count("\n") == 1 for content in csv_files(sample.empty()).values())
