"""The published grid of 19 teachers and 5 bases (2411.07133, Table 6) as trainings that can be repeated with noise."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.search.ranks import Floats, normal_scores
from pipelines.search.simulate import SPREAD, draw_prior
from pipelines.search.space import Cell, SearchSpace

TABLE = Path(__file__).parents[1] / "data" / "teachers_and_bases.csv"
PROMPTS = (805, 500)  # of AlpacaEval 2 and of Arena-Hard
# CAR's rank correlation with the average performance for each base (2411.07133, Table 4)
CAR_RHO = {
    "Qwen2-1.5B": 0.8842,
    "Gemma 2-2B": 0.9,
    "Qwen2.5-3B": 0.8105,
    "Llama-3.2-3B": 0.9053,
    "Llama-3.1-Minitron-4B": 0.9439,
}


@dataclass(frozen=True)
class PublishedGrid:
    """`scores` are average performances in percent, [bases, teachers]; `errors` their unpaired binomial errors."""

    bases: tuple[str, ...]
    teachers: tuple[str, ...]
    scores: Floats
    errors: Floats

    def measure(self, noise: float, rng: np.random.Generator) -> Floats:
        """Return all scores with errors of `noise` times the unpaired binomial error, at least 0."""
        return np.maximum(self.scores + noise * self.errors * rng.standard_normal(self.scores.shape), 0)

    def prior(self, rho: tuple[float, ...], rng: np.random.Generator, shuffled: bool = False) -> Floats:
        """Return a prior with a rank correlation of about `rho` with the scores of each base, or a useless one."""
        rows = [draw_prior(normal_scores(row), one, rng) for row, one in zip(self.scores, rho, strict=True)]
        return np.stack([rng.permutation(row) if shuffled else row for row in rows])

    def partial_scores(self, rho: float, rng: np.random.Generator) -> Floats:
        """Return scores of partial trainings with a rank correlation of about `rho` with the scores of each base."""
        return np.exp(np.stack([SPREAD * draw_prior(normal_scores(row), rho, rng) for row in self.scores]))

    def space(self, rows: tuple[int, ...], prior: Floats) -> SearchSpace:
        """Return the grid of some of the bases, with a prior [bases, teachers]."""
        bases = tuple(self.bases[row] for row in rows)
        values = {
            Cell(self.bases[row], teacher): float(prior[row, column])
            for row in rows
            for column, teacher in enumerate(self.teachers)
        }
        return SearchSpace(bases, self.teachers, {"car": values})


def read_grid() -> PublishedGrid:
    """Return the published grid."""
    with TABLE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    bases = tuple(dict.fromkeys(row["base"] for row in rows))
    teachers = tuple(dict.fromkeys(row["teacher"] for row in rows))
    columns = ("alpaca_eval_lc", "arena_hard")
    parts = np.array([[float(row[name]) for name in columns] for row in rows]).reshape(len(bases), len(teachers), 2)
    errors = np.sqrt((parts * (100 - parts) / np.array(PROMPTS)).sum(axis=2)) / 2
    return PublishedGrid(bases, teachers, parts.mean(axis=2), errors)
