"""The published tables of 2411.07133 as an oracle: average performance, its correlations, the paradox."""

from __future__ import annotations

import csv
from collections import defaultdict
from itertools import combinations
from pathlib import Path
from statistics import fmean

import pytest

from pipelines.results.predict.correlation import spearman
from pipelines.results.predict.paradox import Teacher, average_performance, paradoxes

SPECS = Path(__file__).parents[5] / "shared" / "specs"
BASES = ("Qwen2-1.5B", "Gemma 2-2B", "Qwen2.5-3B", "Llama-3.2-3B", "Llama-3.1-Minitron-4B")


def table(name: str) -> list[dict[str, str]]:
    path = SPECS / name
    if not path.is_file():
        pytest.skip(f"the published table {name} does not lie beside the checkout")
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def performance() -> dict[tuple[str, str], float]:
    """Average performance by base and generator."""
    rows = table("car_table6_long.csv")
    return {
        (row["base_model"], row["generator"]): average_performance(float(row["ae2_lc"]), float(row["ah_wr"]))
        for row in rows
    }


@pytest.fixture(scope="module")
def teachers() -> list[Teacher]:
    rows = {row["generator"]: row for row in table("car_table6_long.csv")}
    return [Teacher(name, row["family"], float(row["size_b"])) for name, row in rows.items()]


@pytest.mark.parametrize("name", ["car_table2.csv", "car_table3.csv"])
def test_average_performance_is_the_published_one(name: str) -> None:
    for row in table(name):
        found = average_performance(float(row["ae2_lc"]), float(row["ah_wr"]))
        assert found == pytest.approx(float(row["ap_published"]), abs=0.00501), row


def test_mean_performance_over_the_bases(performance: dict[tuple[str, str], float]) -> None:
    by_generator: dict[str, list[float]] = defaultdict(list)
    for (_, generator), value in performance.items():
        by_generator[generator].append(value)
    means = {generator: fmean(values) for generator, values in by_generator.items()}
    assert len(means) == 19 and all(len(values) == 5 for values in by_generator.values())
    for generator, mean in {
        "Qwen2.5-72B-Instruct": 12.245,
        "Gemma-2-9b-it": 11.442,
        "Gemma-2-27b-it": 10.479,
        "Qwen2.5-7B-Instruct": 9.704,
        "Gemma-2-2b-it": 9.333,
        "Qwen2.5-32B-Instruct": 9.243,
        "Qwen2.5-14B-Instruct": 9.030,
        "Qwen2.5-3B-Instruct": 8.981,
        "Llama-3.1-70B-Instruct": 6.641,
        "Qwen2-7B-Instruct": 6.602,
        "Llama-3-70B-Instruct": 6.515,
        "Llama-3.1-405B-Instruct": 6.486,
        "Llama-3.1-8B-Instruct": 5.268,
        "Qwen2-72B-Instruct": 5.237,
        "Llama-3-8B-Instruct": 5.138,
        "Phi-3-small-128k-instruct": 5.122,
        "Phi-3-mini-128k-instruct": 4.862,
        "Phi-3-medium-128k-instruct": 3.664,
        "Qwen2-1.5B-Instruct": 1.594,
    }.items():
        assert means[generator] == pytest.approx(mean, abs=0.0006), generator


@pytest.mark.parametrize(
    ("one", "other", "rho"),
    [
        (0, 1, 0.9018),
        (0, 2, 0.9070),
        (0, 3, 0.9579),
        (0, 4, 0.9333),
        (1, 2, 0.8491),
        (1, 3, 0.9526),
        (1, 4, 0.9298),
        (2, 3, 0.8596),
        (2, 4, 0.8754),
        (3, 4, 0.9474),
    ],
)
def test_performance_correlates_across_bases(
    performance: dict[tuple[str, str], float], one: int, other: int, rho: float
) -> None:
    columns = [[value for (base, _), value in performance.items() if base == BASES[i]] for i in (one, other)]
    assert spearman(*columns) == pytest.approx(rho, abs=6e-5)


def test_larger_models_are_not_better_teachers(
    performance: dict[tuple[str, str], float], teachers: list[Teacher]
) -> None:
    found = {(one.smaller, one.larger): (one.smaller_wins, one.bases) for one in paradoxes(teachers, performance)}
    assert found["Gemma-2-9b-it", "Gemma-2-27b-it"] == (4, 5)
    assert found["Llama-3.1-70B-Instruct", "Llama-3.1-405B-Instruct"] == (4, 5)
    assert found["Qwen2-7B-Instruct", "Qwen2-72B-Instruct"] == (5, 5)
    assert found["Phi-3-small-128k-instruct", "Phi-3-medium-128k-instruct"] == (5, 5)
    assert ("Qwen2-7B-Instruct", "Qwen2.5-72B-Instruct") not in found, "another family"


def test_rho_lies_on_the_grid_of_the_printed_ones(performance: dict[tuple[str, str], float]) -> None:
    """Without ties rho is 1 - 6 sum d^2 / (19 * 360): the printed correlations, too, are those of 19 generators."""
    columns = [[value for (base, _), value in performance.items() if base == name] for name in BASES]
    for one, other in combinations(columns, 2):
        assert (1 - spearman(one, other)) * 1140 / 2 == pytest.approx(round((1 - spearman(one, other)) * 1140 / 2))
    rows = [row for row in table("car_table4.csv") if row["base_model"] in BASES]
    printed = [float(value) for row in rows for value in list(row.values())[1:]]
    assert len(printed) == 45
    off = [abs((1 - rho) * 1140 / 2 - round((1 - rho) * 1140 / 2)) * 2 / 1140 for rho in printed]
    assert sum(distance > 1e-4 for distance in off) == 1, "one cell is known not to fit"
