"""Measures perplexity, IFD and IC-IFD by a bundled base of correct and of wrong answers to held-out tasks."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from scipy import stats

from actors.engine import EngineSpec
from actors.engines.transformers_engine import TransformersEngine
from bundled.classifiers import draw_preference
from pipelines.operators.score.perplexity import Score
from pipelines.rows.types import ResponseRow, ScoreRow
from pipelines.study.spec.pairs.scoring import ScoringOptions

LEVELS: Final = (0, 1, 2, 3)
SEED: Final = 4
METRICS: Final = {
    "PPL of the instruction": "ppl_instruction",
    "PPL of the answer alone": "ppl_answer",
    "PPL of the answer": "ppl_conditional",
    "IFD": "ifd",
    "IC-IFD": "ic_ifd",
}


@dataclass(frozen=True)
class ScoredLevel:
    """The scores of the same number of correct and of wrong answers to the same tasks of a level."""

    correct: Sequence[ScoreRow]
    wrong: Sequence[ScoreRow]

    def medians(self, metric: str) -> tuple[float, float]:
        """Return the medians of correct and of wrong answers."""
        return median(_values(self.correct, metric)), median(_values(self.wrong, metric))

    def auc(self, metric: str) -> float:
        """Return the probability that a wrong answer has a higher value than a correct one, to another task or not."""
        correct, wrong = _values(self.correct, metric), _values(self.wrong, metric)
        ranks = stats.rankdata([*wrong, *correct])
        least = len(wrong) * (len(wrong) + 1) / 2
        return float((ranks[: len(wrong)].sum() - least) / (len(wrong) * len(correct)))


def score_levels(folder: Path, count: int) -> dict[int, ScoredLevel]:
    """Return the scores of `count` held-out tasks per level, as the step that scores data sets computes them."""
    rng = random.Random(SEED)
    engine = TransformersEngine(EngineSpec("transformers", str(folder), max_length=512, dtype="float32"))
    try:
        return {level: asyncio.run(_score_level(engine, level, count, rng)) for level in LEVELS}
    finally:
        engine.close()


async def _score_level(engine: TransformersEngine, level: int, count: int, rng: random.Random) -> ScoredLevel:
    operator = Score(engine, ScoringOptions())
    drawn = [draw_preference(rng, level, held_out=True) for _ in range(count)]
    pairs = [(one.instruction, one.chosen) for one in drawn] + [(one.instruction, one.rejected) for one in drawn]
    rows = [ResponseRow(str(i), "", "", i, task, "", answer, "stop", 0, 0) for i, (task, answer) in enumerate(pairs)]
    scores = await asyncio.gather(*(operator(row, row.id) for row in rows))
    return ScoredLevel(scores[:count], scores[count:])


def _values(rows: Sequence[ScoreRow], metric: str) -> list[float]:
    return [getattr(row, metric) for row in rows]


def markdown_table(levels: dict[int, ScoredLevel]) -> str:
    """Return a Markdown table of medians (correct / wrong) and AUC: one row per metric, one column per level."""
    head = ["| median correct / wrong (AUC) | " + " | ".join(f"level {level}" for level in levels) + " |"]
    lines = [
        f"| {name} | " + " | ".join(_cell(level, metric) for level in levels.values()) + " |"
        for name, metric in METRICS.items()
    ]
    return "\n".join([*head, "|---|" + "---:|" * len(levels), *lines])


def _cell(level: ScoredLevel, metric: str) -> str:
    correct, wrong = level.medians(metric)
    if metric == "ppl_instruction":
        return f"{correct:.3g}"
    return f"{correct:.3g} / {wrong:.3g} ({level.auc(metric):.2f})"
