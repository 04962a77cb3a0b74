"""The tables of data sets have one line for all seeds of a set's answers; the files have every seed."""

from __future__ import annotations

from dataclasses import replace
from statistics import stdev

from pipelines.results.report.csv_files import csv_files
from pipelines.results.report.data.instructions import SetSelection
from pipelines.results.report.data.report import ReportData
from pipelines.results.report.data.rewards import SetCar, SetReward
from pipelines.results.report.data.scores import SetDistribution, SetProbabilities
from pipelines.results.report.page import render_html, render_markdown
from pipelines.results.report.tables.set_means import average_sets
from tests.pipelines.results.report import sample

SCORE = sample.sample().sets[0]
SETS = [SCORE.set._replace(answer_seed=seed) for seed in (0, 1)]
REWARDS = [
    SetReward(place, model, rows, 0, mean, mean, mean, None, None, 0)
    for model in ("a", "b")
    for place, rows, mean in zip(SETS, (10, 13), (1.25, None), strict=True)
]
CARS = [
    SetCar(place, "a", "raw", 10, reward, 2.0, ((0.0, reward), (1.0, reward / 2)))
    for place, reward in zip(SETS, (2.0, 6.0), strict=True)
]


def with_seeds() -> ReportData:
    first = replace(SCORE, set=SETS[0], rows=10, words=7.5, correct=None, means={"ifd": 0.5, "ppl_answer": 3.0})
    second = replace(first, set=SETS[1], rows=15, words=8.5, correct=40.0, means={"ifd": 0.75})
    return replace(sample.sample(), sets=(first, second), rewards=tuple(REWARDS), cars=tuple(CARS))


def test_numbers_are_averaged_and_unknown_ones_are_left_out() -> None:
    averaged = average_sets(with_seeds())
    (score,), (car,) = averaged.sets, averaged.cars
    assert score.set == SCORE.set and (score.rows, score.words, score.correct) == (12, 8.0, 40.0)
    assert score.means == {"ifd": 0.625, "ppl_answer": 3.0}
    assert [(one.set, one.model, one.rows, one.mean, one.median) for one in averaged.rewards] == [
        (SCORE.set, "a", 12, 1.25, 1.25),
        (SCORE.set, "b", 12, 1.25, 1.25),
    ]
    assert (car.reward, car.mode, car.by_beta) == (4.0, "raw", ((0.0, 4.0), (1.0, 2.0)))


def test_selections_and_distributions_have_a_mean_and_a_spread_over_seeds() -> None:
    chosen = [
        SetSelection(place, "best", "ifd", "high", 10, count, mean, least, mean, (("not_selected", 10 - count),))
        for place, count, mean, least in zip(SETS, (4, 6), (0.5, 0.75), (0.125, 0.25), strict=True)
    ]
    spreads = [SetDistribution(place, "ifd", 10, mean, 0.1, 0.2, 0.3) for place, mean in zip(SETS, (1, 3), strict=True)]
    sure = [SetProbabilities(place, scorer, 50, 0.5, ((0.0, 100.0),)) for place in SETS for scorer in ("a", "b")]
    data = replace(
        with_seeds(), selections=tuple(chosen), distributions=tuple(spreads), probabilities=tuple(sure), cars=()
    )
    averaged = average_sets(data)
    (best,), (ifd,) = averaged.selections, averaged.distributions
    assert (best.chosen, best.mean, best.least, best.most) == (5, 0.625, 0.125, 0.75)
    assert best.reasons == (("not_selected", 5),) and best.spread == stdev([0.5, 0.75])
    assert (ifd.mean, ifd.spread) == (2, stdev([1, 3])) and [one.scorer for one in averaged.probabilities] == ["a", "b"]
    for text in (render_html(data), render_markdown(data)):
        assert "± 1.41" in text and "± 0.177" in text and "selections.csv has each seed" in text
        assert "scores.csv has each seed" in text and "seed 1" not in text
    assert [csv_files(data)[name].count("\n") for name in ("selections.csv", "scores.csv", "probabilities.csv")] == [
        3,
        3,
        5,
    ]
    assert "spread" not in csv_files(data)["scores.csv"]


def test_a_set_without_seeds_stays_as_it_is() -> None:
    assert average_sets(sample.sample()) == sample.sample()


def test_the_tables_have_means_and_the_files_every_seed() -> None:
    data, place = with_seeds(), " | ".join(map(str, SCORE.set.shown))
    text = render_markdown(data)
    assert f"| {place} | 12 | " in text and "seed 1" not in text and "Of several seeds of answers" in text
    page = render_html(data)
    assert "seed 1" not in page and "sets.csv has each seed" in page and "rewards.csv has each" in page
    assert [csv_files(data)[name].count("\n") for name in ("sets.csv", "rewards.csv", "car.csv")] == [3, 5, 3]
    assert "Of several seeds" not in render_html(sample.sample()) + render_markdown(sample.sample())
