"""AlpacaEval 2 (2404.04475): the better of two outputs by the probabilities of their labels, controlled for length."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import prompts
from pipelines.evaluate.items import Grade
from pipelines.evaluate.judged.asking import Asker, Case, Judged
from pipelines.rows import AnswerRow
from pipelines.study.benchmarks import Judge

PROMPTS = ("judge_alpaca_eval",)
FOLDS = 5
SEED = 123
DIFFICULTY = "instruction_difficulty"


async def judge(asker: Asker, case: Case, by: Judge) -> Judged:
    """The probability that the answer is better than the other one; the order is drawn from the instruction's text."""
    (question, *_), mine, other = case.questions, case.answers[-1], case.other[-1]
    first = is_first(question)
    outputs = (mine, other) if first else (other, mine)
    turns = prompts.get("judge_alpaca_eval").turns(instruction=question, output_1=outputs[0], output_2=outputs[1])
    label, opposite = ("m", "M") if first else ("M", "m")
    if by.verdict == "probability":
        better: float | None = await asker.probability(turns, label, opposite)
    else:
        said = prompts.parse("label_m", await asker.say(turns)).value
        better = None if said is None else float(said == label)
    measures = {"unparsed": (float(better is None), 1.0), "characters": (float(len(mine)), 1.0)}
    measures["reference characters"] = (float(len(other)), 1.0)
    if DIFFICULTY in case.data:
        measures[DIFFICULTY] = (float(case.data[DIFFICULTY]), 1.0)
    if better is not None:
        measures = {"win rate": (better, 1.0)} | measures
    return Judged(Grade((better or 0.0) > 0.5, measures, (label,)), tuple(asker.raw), other)


def is_first(instruction: str) -> bool:
    """Whether the answer to an instruction is shown as the first output, half of the time."""
    return hashlib.sha256(instruction.encode()).digest()[0] % 2 == 0


def length_controlled(rows: Sequence[AnswerRow]) -> float | None:
    """The win rate in per cent had all answers their reference's length; None for fewer rows than folds.

    Logistic regression on soft labels: a bias, the tanh of the standardised difference of lengths, and the
    instructions' difficulty where rows have it; no intercept, L1 by 5-fold cross-validation. (2404.04475, section 3;
    the code's `length_controlled_noreg`, or `length_controlled_minimal` without difficulties.) Its regularisation
    towards gamed baselines needs their annotations and is left out. 50 where no answer differs from its reference.
    """
    judged = [row for row in rows if row.measure("win rate") is not None]
    if judged and all(row.response == row.other for row in judged):
        return 50.0
    if len(judged) < FOLDS:
        return None
    wins = [_of(row, "win rate") for row in judged]
    difference = [_of(row, "reference characters") - _of(row, "characters") for row in judged]
    difficulties = [row.measure(DIFFICULTY) for row in judged]
    known = [value for value in difficulties if value is not None]
    weights = fitted(wins, difference, known if len(known) == len(judged) else None)
    return controlled(weights, known if len(known) == len(judged) else [0.0] * len(judged))


def controlled(weights: tuple[float, float], difficulties: Sequence[float]) -> float:
    """The mean win rate in per cent by the weights of bias and difficulty, without the term of length."""
    bias, difficulty = weights
    return 100 * math.fsum(1 / (1 + math.exp(-bias - difficulty * one)) for one in difficulties) / len(difficulties)


def fitted(
    wins: Sequence[float], difference: Sequence[float], difficulties: Sequence[float] | None
) -> tuple[float, float]:
    """The weights of bias and difficulty (0 without difficulties) of the regression on probabilities `wins`."""
    import numpy as np

    spread = float(np.std(np.asarray(difference), ddof=1)) or 1.0
    columns = [np.ones(len(wins)), np.tanh(np.asarray(difference) / spread)]
    columns += [np.asarray(difficulties)] if difficulties is not None else []
    found = _regressed(np.column_stack(columns), np.asarray(wins))
    return found[0], found[2] if difficulties is not None else 0.0


def _regressed(features: object, wins: object) -> list[float]:
    """Coefficients by cross-validated L1, every row given once with each label, weighted by its probability."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold

    x, p = np.asarray(features), np.asarray(wins)
    doubled, labels = np.vstack([x, x]), np.repeat([1, 0], len(p))
    weights, groups = np.concatenate([p, 1 - p]), np.tile(np.arange(len(p)), 2)

    def model(strength: float) -> LogisticRegression:
        return LogisticRegression(C=strength, penalty="l1", solver="liblinear", fit_intercept=False, random_state=SEED)

    def loss(strength: float) -> float:
        total = 0.0
        for train, test in GroupKFold(FOLDS).split(doubled, labels, groups):
            fit = model(strength).fit(doubled[train], labels[train], sample_weight=weights[train])
            likely = np.clip(fit.predict_proba(doubled[test])[:, 1], 1e-15, 1 - 1e-15)
            ones = labels[test] == 1
            total -= float(np.sum(weights[test] * np.log(np.where(ones, likely, 1 - likely))))
        return total

    best = min(np.logspace(-4, 4, 10), key=loss)
    return [float(value) for value in model(best).fit(doubled, labels, sample_weight=weights).coef_[0]]


def _of(row: AnswerRow, name: str) -> float:
    value = row.measure(name)
    assert value is not None
    return value
