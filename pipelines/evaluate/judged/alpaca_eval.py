"""AlpacaEval 2 (2404.04475): pairwise win rate from the judge's label probabilities, also controlled for length."""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import prompts
from pipelines.errors import InputError
from pipelines.evaluate.items.item import Grade
from pipelines.evaluate.judged import questions
from pipelines.evaluate.judged.judge_client import JudgeCase, JudgeClient, Judgement
from pipelines.rows.types import AnswerRow
from pipelines.study.spec.evaluation.benchmarks import Judge

if TYPE_CHECKING:
    import numpy as np


if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]
items = questions.items
FOLDS = 5
SEED = 123
LENGTH_BASELINE_WEIGHT = 0.2 / 2  # of a row of the two length-manipulated baselines, which AlpacaEval calls "gamed"
DIFFICULTY_COLUMN = "instruction_difficulty"


async def judge(judge_client: JudgeClient, case: JudgeCase, judge_config: Judge) -> Judgement:
    """Judge the probability that the answer is better than the reference answer.

    The order of the two is pseudo-random: it depends on the instruction's text only. Equal answers are a tie without
    asking the judge, as in AlpacaEval's code.
    """
    (question, *_), mine, other = case.questions, case.answers[-1], case.other[-1]
    first = is_shown_first(question)
    outputs = (mine, other) if first else (other, mine)
    prompt = judge_client.catalog.get("judge_alpaca_eval")
    turns = prompt.turns(instruction=question, output_1=outputs[0], output_2=outputs[1])
    label, opposite = ("m", "M") if first else ("M", "m")
    better: float | None
    if mine == other:
        better = 0.5
    elif judge_config.verdict == "probability":
        better = await judge_client.probability(turns, label, opposite)
    else:
        said = prompts.parse(prompt.parser, await judge_client.ask(turns)).value
        better = None if said is None else float(said == label)
    measures = {"unparsed": (float(better is None), 1.0), "characters": (float(len(mine)), 1.0)}
    measures["reference characters"] = (float(len(other)), 1.0)
    if better is not None:
        measures = {"win rate": (better, 1.0)} | measures
    return Judgement(Grade((better or 0.0) > 0.5, measures, (label,)), tuple(judge_client.raw), other)


def summarize(
    means: Mapping[str, float], rows: Sequence[AnswerRow], judge_config: Judge | None, folder: Path | None
) -> dict[str, float]:
    """Return the win rate, after the length-controlled one if the study names the data for it."""
    if not (judge_config and judge_config.length_control and folder):
        return dict(means)
    baseline = read_length_baseline(folder / judge_config.length_control)
    return {"length-controlled": length_controlled_win_rate(rows, baseline), **means}


def is_shown_first(instruction: str) -> bool:
    """Return whether the answer to an instruction is shown as the first output. It is for half of all instructions."""
    return hashlib.sha256(instruction.encode()).digest()[0] % 2 == 0


@dataclass(frozen=True)
class LengthBaseline:
    """AlpacaEval's `df_gamed.csv`: preferences for baselines prompted to be longer or shorter, and difficulties.

    A row is (preference in [0, 1], standardised difference of lengths, difficulty). `difficulty` maps an item's id to
    the difficulty of its instruction.
    """

    rows: tuple[tuple[float, float, float], ...]
    difficulty: Mapping[str, float]


def read_length_baseline(path: Path) -> LengthBaseline:
    """Read AlpacaEval's `df_gamed.csv`.

    Raises:
        InputError: The file cannot be read, or has another format.
    """
    try:
        with path.open(newline="") as file:
            found = list(csv.DictReader(file))
        rows = [(float(row["preference"]), float(row["std_delta_len"]), float(row[DIFFICULTY_COLUMN])) for row in found]
        return LengthBaseline(tuple(rows), {row["index"]: float(row[DIFFICULTY_COLUMN]) for row in found})
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"is not AlpacaEval's df_gamed.csv: {error!r}", file=str(path)) from None


def length_controlled_win_rate(rows: Sequence[AnswerRow], baseline: LengthBaseline) -> float:
    """Return the estimated win rate, in per cent, if all answers were as long as their reference answers.

    It is computed by a logistic regression on soft labels (2404.04475, section 3; `length_controlled_v1` of its code).
    The features are a bias, the tanh of the standardised difference of lengths, and the instruction's difficulty; there
    is no intercept. The L1 strength is chosen by 5-fold cross-validation. The length-manipulated baselines are
    additional rows with a small weight and without the bias. If all answers equal their references, the result is 50.
    If fewer than 5 rows have a verdict, it is NaN.
    """
    judged = [row for row in rows if row.measure("win rate") is not None]
    if len(judged) < FOLDS:
        return math.nan
    if all(row.response == row.other for row in judged):
        return 50.0
    wins, difficulty = (
        [_measure_of(row, "win rate") for row in judged],
        [baseline.difficulty[row.item] for row in judged],
    )
    longer = [_measure_of(row, "reference characters") - _measure_of(row, "characters") for row in judged]
    _, hardness, bias = fit_weights(wins, longer, difficulty, baseline.rows)
    return controlled_win_rate(bias, hardness, difficulty)


def controlled_win_rate(bias: float, hardness: float, difficulties: Sequence[float]) -> float:
    """Return the mean win rate in per cent from the weights of bias and difficulty, with a length term of zero."""
    return 100 * math.fsum(1 / (1 + math.exp(-bias - hardness * one)) for one in difficulties) / len(difficulties)


def fit_weights(
    wins: Sequence[float],
    longer: Sequence[float],
    difficulties: Sequence[float],
    baseline_rows: Sequence[tuple[float, float, float]],
) -> tuple[float, float, float]:
    """Fit and return the weights of length, difficulty and bias.

    `longer` has, for each row, the length of the reference minus the length of the answer, in characters.
    """
    import numpy as np

    deviation = float(np.std(np.asarray(longer), ddof=1)) or 1.0
    ours = np.column_stack([np.tanh(np.asarray(longer) / deviation), difficulties, np.ones(len(wins))])
    known = np.asarray(baseline_rows, dtype=float).reshape(-1, 3)
    theirs = np.column_stack([np.tanh(known[:, 1]), known[:, 2], np.zeros(len(known))])
    weights = np.concatenate([np.full(len(known), LENGTH_BASELINE_WEIGHT), np.ones(len(wins))])
    found = _regress(np.vstack([theirs, ours]), np.concatenate([known[:, 0], np.asarray(wins)]), weights)
    return found[0], found[1], found[2]


def _regress(features: Array, wins: Array, counts: Array) -> list[float]:
    """Return the coefficients. Each row enters once with each label, weighted by the probability of the label."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold

    doubled, labels = np.vstack([features, features]), np.repeat([1, 0], len(wins))
    weights = np.concatenate([wins * counts, (1 - wins) * counts])
    groups = np.tile(np.arange(len(wins)), 2)

    def model(strength: float) -> LogisticRegression:
        return LogisticRegression(C=strength, l1_ratio=1, solver="liblinear", fit_intercept=False, random_state=SEED)

    def loss(strength: float) -> float:
        means: list[float] = []
        for train, test in GroupKFold(FOLDS).split(doubled, labels, groups):
            fit = model(strength).fit(doubled[train], labels[train], sample_weight=weights[train])
            likely = np.clip(fit.predict_proba(doubled[test])[:, 1], 1e-15, 1 - 1e-15)
            true = np.concatenate([wins, wins])[test]
            each = true * np.log(likely) + (1 - true) * np.log(1 - likely)
            means.append(-float(np.mean(each * np.concatenate([counts, counts])[test])))
        return fmean(means)

    best = min(np.logspace(-4, 4, 10), key=loss)
    return [float(value) for value in model(best).fit(doubled, labels, sample_weight=weights).coef_[0]]


def _measure_of(row: AnswerRow, name: str) -> float:
    value = row.measure(name)
    assert value is not None
    return value
