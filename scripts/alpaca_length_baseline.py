"""Make AlpacaEval's `df_gamed.csv` from its repository: `python scripts/alpaca_length_baseline.py CLONE OUT.csv`.

The file itself is only on the Hugging Face hub. The clone has what it was made of: judged answers of the leaderboard's
models, and the weights of their regressions (2404.04475). Given the weights, each instruction's difficulty is fitted to
the verdicts on all models. The preferences for the two length-manipulated baselines are those that their own weights
predict, which determine a regression as well as the preferences themselves do.

Before the file is written, each model is left out once, and its length-controlled win rate is compared with the
leaderboard's. `--check 0` leaves this out.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.evaluate.judged.alpaca_eval import DIFFICULTY_COLUMN, controlled_win_rate, fit_weights

JUDGE = "weighted_alpaca_eval_gpt4_turbo"
REFERENCE = "gpt4_1106_preview"
BASELINES = (f"{REFERENCE}_verbose", f"{REFERENCE}_concise")
WEIGHTS = f"src/alpaca_eval/metrics/weights/{JUDGE}/length_controlled_v1/baseline_{REFERENCE}.csv"
LEADERBOARD = f"src/alpaca_eval/leaderboards/data_AlpacaEval_2/{JUDGE}_leaderboard.csv"
PRIOR_VARIANCE = 2.0  # of difficulties around zero
STEPS = 60  # of Newton's method
MIN_MODELS = 10

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Verdicts:
    """The number of each judged item, the preference for the model, and how much longer the reference's answer is."""

    items: npt.NDArray[np.int64]
    wins: Floats
    longer: Floats


@dataclass(frozen=True)
class Leaderboard:
    """The instructions in order, and each model's verdicts and weights of its regression: length, hardness, bias."""

    clone: Path
    instructions: Sequence[str]
    weights: Mapping[str, tuple[float, float, float]]
    verdicts: Mapping[str, Verdicts]


def read_leaderboard(clone: Path) -> Leaderboard:
    """Read a clone of AlpacaEval. Models without weights or without verdicts are left out."""
    answers = _answers(clone, REFERENCE)
    with (clone / WEIGHTS).open(newline="") as file:
        weights = {name: (float(a), float(b), float(c)) for name, a, b, c in list(csv.reader(file))[1:]}
    place = {text: number for number, text in enumerate(answers)}
    files = {name: clone / "results" / name / JUDGE / "annotations.json" for name in weights if name != REFERENCE}
    found = {name: _verdicts(json.loads(file.read_text()), place) for name, file in files.items() if file.is_file()}
    return Leaderboard(clone, [*answers], weights, found)


def fit_difficulties(board: Leaderboard, models: Sequence[str]) -> Floats:
    """Return the difficulty of every instruction that explains the verdicts on `models`, with a prior around zero."""
    shape = len(models), len(board.instructions)
    wins, known, offsets = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for row, name in enumerate(models):
        found, (length, _, bias) = board.verdicts[name], board.weights[name]
        wins[row, found.items], known[row, found.items] = found.wins, 1.0
        offsets[row, found.items] = length * np.tanh(_standardised(found.longer)) + bias
    slopes, fitted = np.array([[board.weights[name][1]] for name in models]), np.zeros(shape[1])
    for _ in range(STEPS):
        likely = 1 / (1 + np.exp(-offsets - slopes * fitted))
        gradient = (slopes * known * (wins - likely)).sum(axis=0) - fitted / PRIOR_VARIANCE
        curvature = (slopes**2 * known * likely * (1 - likely)).sum(axis=0) + 1 / PRIOR_VARIANCE
        fitted += np.clip(gradient / curvature, -1, 1)
    return fitted


def baseline_rows(board: Leaderboard, difficulties: Floats) -> list[tuple[str, int, float, float, float]]:
    """Return model, item, preference, standardised difference of lengths and difficulty of the two baselines."""
    reference, rows = _answers(board.clone, REFERENCE), list[tuple[str, int, float, float, float]]()
    for name in BASELINES:
        answers, (length, hardness, bias) = _answers(board.clone, name), board.weights[name]
        texts = board.instructions
        longer = _standardised(np.array([len(reference[text]) - len(answers[text]) for text in texts], dtype=float))
        likely = 1 / (1 + np.exp(-length * np.tanh(longer) - hardness * difficulties - bias))
        values = zip(likely.tolist(), longer.tolist(), difficulties.tolist(), strict=True)
        rows += [(name, number, *each) for number, each in enumerate(values)]
    return rows


def write(path: Path, rows: Iterable[tuple[str, int, float, float, float]]) -> None:
    """Write the rows in the columns of AlpacaEval's file."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["index", "preference", "std_delta_len", DIFFICULTY_COLUMN, "not_gamed_baseline", "model"])
        writer.writerows([item, win, longer, hard, False, name] for name, item, win, longer, hard in rows)


def left_out(board: Leaderboard, model: str) -> float:
    """Return a model's length-controlled win rate by the difficulties that the other models give."""
    difficulties = fit_difficulties(board, [name for name in board.verdicts if name != model])
    rows = [(win, longer, hard) for _, _, win, longer, hard in baseline_rows(board, difficulties)]
    found = board.verdicts[model]
    own = difficulties[found.items].tolist()
    _, hardness, bias = fit_weights(found.wins.tolist(), found.longer.tolist(), own, rows)
    return controlled_win_rate(bias, hardness, own)


def _check(board: Leaderboard, count: int) -> None:
    with (board.clone / LEADERBOARD).open(newline="") as file:
        published = {row[""]: row["length_controlled_winrate"] for row in csv.DictReader(file)}
    known = [name for name in board.verdicts if published.get(name)]
    errors = [left_out(board, name) - float(published[name]) for name in known[:: max(1, len(known) // count)][:count]]
    sizes = np.abs(errors)
    print(
        f"{len(errors)} models left out one at a time: the length-controlled win rate differs from the published by "
        f"{sizes.mean():.2f} points on average, {np.median(sizes):.2f} in the middle and {sizes.max():.2f} at most"
    )


def _answers(clone: Path, model: str) -> dict[str, str]:
    """Return a model's answers by instruction, in the order of its file."""
    found = json.loads((clone / "results" / model / "model_outputs.json").read_text())
    return {row["instruction"]: row["output"] for row in found}


def _verdicts(rows: Sequence[Mapping[str, Any]], place: Mapping[str, int]) -> Verdicts:
    """Return the verdicts of a file of annotations; a preference is 1 (the reference) to 2 (the model), 0 a tie."""
    kept = [row for row in rows if row["preference"] is not None and row["instruction"] in place]
    wins = [(row["preference"] or 1.5) - 1 for row in kept]
    longer = [len(row["output_1"]) - len(row["output_2"]) for row in kept]
    items = np.array([place[row["instruction"]] for row in kept], dtype=np.int64)
    return Verdicts(items, np.array(wins, dtype=float), np.array(longer, dtype=float))


def _standardised(longer: Floats) -> Floats:
    return longer / (float(np.std(longer, ddof=1)) or 1.0)


def main() -> None:
    """Write the file, after the check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clone", type=Path, help="a clone of github.com/tatsu-lab/alpaca_eval")
    parser.add_argument("out", type=Path, help="the file to write, for a benchmark's judge: {length_control: ...}")
    parser.add_argument("--check", type=int, default=20, help="how many models are left out once (default: 20)")
    options = parser.parse_args()
    try:
        board = read_leaderboard(options.clone)
    except (OSError, KeyError, ValueError) as error:
        sys.exit(f"{options.clone} is not a clone of github.com/tatsu-lab/alpaca_eval: {error}")
    if len(board.verdicts) < MIN_MODELS:
        sys.exit(
            f"{options.clone} has verdicts on {len(board.verdicts)} models; {MIN_MODELS} are needed. Clone all files."
        )
    if options.check > 0:
        _check(board, options.check)
    write(options.out, baseline_rows(board, fit_difficulties(board, [*board.verdicts])))
    print(f"{options.out}: difficulties of {len(board.instructions)} instructions, from {len(board.verdicts)} models")


if __name__ == "__main__":
    main()
