"""Results of several seeds become one result with mean, spread and an interval over seeds and tasks."""

from __future__ import annotations

import csv
from dataclasses import replace

from pipelines.results.report.collect.seed_means import average_over_seeds
from pipelines.results.report.csv_files import csv_files
from pipelines.results.report.data.report import ReportData, Result
from pipelines.results.report.data.task_scores import LevelMean, TaskScores
from pipelines.results.report.page import render_html, render_markdown
from tests.pipelines.results.report import sample

FIRST = replace(sample.sample().results[0], value=10.0, low=2.0, high=20.0, by_level=(LevelMean(0, 10.0),))


def points(solved: int) -> TaskScores:
    return TaskScores({str(i): float(i < solved) for i in range(50)}, {str(i): 1.0 for i in range(50)})


def run(seed: int, solved: int, answer_seed: int | None = None) -> tuple[Result, TaskScores]:
    value = 2.0 * solved
    result = replace(FIRST, round=1, seed=seed, answer_seed=answer_seed, value=value, by_level=(LevelMean(0, value),))
    return result, points(solved)


def with_seeds() -> ReportData:
    found = dict([(FIRST, points(5)), run(0, 20), run(1, 22), run(2, 27)])
    means = average_over_seeds(found)
    return replace(sample.sample(), results=tuple(means), task_scores=means, runs=tuple(found), published=())


def test_runs_that_differ_in_seeds_only_are_averaged() -> None:
    base, mean = with_seeds().results
    assert base == FIRST
    assert (mean.value, mean.seed, mean.answer_seed, mean.runs) == (46.0, None, None, 3)
    assert mean.spread is not None and abs(mean.spread - 7.211) < 0.001
    assert mean.by_level == (LevelMean(0, 46.0),)
    assert mean.low < 40.0 and mean.high > 54.0, "seeds and tasks are both uncertain"


def test_seeds_of_answers_are_averaged_too_and_one_run_alone_stays_as_it_is() -> None:
    (mean,) = average_over_seeds(dict([run(0, 20, 0), run(0, 30, 1)]))
    assert (mean.value, mean.runs) == (50.0, 2)
    (alone,) = average_over_seeds(dict([run(4, 20)]))
    assert (alone.value, alone.seed, alone.runs, alone.spread) == (40.0, None, 1, None)


def test_the_files_have_every_run_and_the_means() -> None:
    files = csv_files(with_seeds())
    by_seed = [(row["seed"], row["value"]) for row in csv.DictReader(files["results.csv"].splitlines())]
    assert by_seed == [("", "10.0"), ("0", "40.0"), ("1", "44.0"), ("2", "54.0")]
    assert [row["value"] for row in csv.DictReader(files["means.csv"].splitlines())] == ["10.0", "46.0"]
    assert "means.csv" not in csv_files(sample.sample())


def test_the_tables_show_mean_and_spread() -> None:
    told = render_markdown(with_seeds())
    assert "46.0 | 3 | 7.2 |" in told and "46.00 ± 7.21" not in told.split("## Datasets")[1]
    page = render_html(with_seeds())
    assert '<td class="num" data-value="3">3</td>' in page and ">7.2</td>" in page
    assert ">SD<" not in render_html(sample.sample())
