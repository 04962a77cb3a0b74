"""AlpacaEval's file for length control, made from a clone of its repository whose true difficulties are known."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from pipelines.evaluate.judged.alpaca_eval import controlled_win_rate, fit_weights, read_length_baseline
from scripts import alpaca_length_baseline as script

ITEMS = 150
WEIGHTS = {f"model-{n}": (-1.5 - n / 20, 0.7 + n / 40, -2.0 + n / 5) for n in range(14)} | {
    f"{script.REFERENCE}_verbose": (-1.6, 0.8, 0.2),
    f"{script.REFERENCE}_concise": (-1.6, 0.7, -0.3),
}


@pytest.fixture(scope="module")
def difficulties() -> list[float]:
    return np.random.default_rng(0).normal(0, 1.4, ITEMS).tolist()


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, difficulties: list[float]) -> Path:
    """A clone whose verdicts are what the weights say; a verdict is missing here and there."""
    root, rng = tmp_path_factory.mktemp("clone"), np.random.default_rng(1)
    reference = ["r" * length for length in rng.integers(200, 400, ITEMS).tolist()]
    write_answers(root, script.REFERENCE, reference)
    scores: list[Mapping[str, object]] = []
    for name, weights in WEIGHTS.items():
        answers = ["a" * length for length in rng.integers(100, 500, ITEMS).tolist()]
        wins = predicted(weights, reference, answers, difficulties)
        write_answers(root, name, answers)
        if name.startswith("model"):
            verdicts = [
                {"instruction": f"Do {n}.", "output_1": reference[n], "output_2": answers[n], "preference": 1 + wins[n]}
                for n in range(ITEMS)
            ]
            verdicts[0]["preference"] = None
            place = root / "results" / name / script.JUDGE / "annotations.json"
            place.parent.mkdir()
            place.write_text(json.dumps(verdicts))
            scores.append(
                {"": name, "length_controlled_winrate": controlled_win_rate(weights[2], weights[1], difficulties)}
            )
    write_table(root / script.WEIGHTS, [{"": name, "a": a, "b": b, "c": c} for name, (a, b, c) in WEIGHTS.items()])
    write_table(root / script.LEADERBOARD, scores)
    return root


def predicted(
    weights: tuple[float, float, float], reference: list[str], answers: list[str], difficulties: list[float]
) -> list[float]:
    longer = np.array([len(one) - len(other) for one, other in zip(reference, answers, strict=True)], dtype=float)
    length, hardness, bias = weights
    margin = length * np.tanh(longer / longer.std(ddof=1)) + hardness * np.array(difficulties) + bias
    return (1 / (1 + np.exp(-margin))).tolist()


def write_answers(root: Path, model: str, answers: list[str]) -> None:
    folder = root / "results" / model
    folder.mkdir(parents=True)
    rows = [{"instruction": f"Do {n}.", "output": text} for n, text in enumerate(answers)]
    (folder / "model_outputs.json").write_text(json.dumps(rows))


def write_table(path: Path, rows: list[Mapping[str, object]]) -> None:
    path.parent.mkdir(parents=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)


def test_the_difficulties_are_found_and_give_the_win_rates(
    clone: Path,
    difficulties: list[float],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "df_gamed.csv"
    monkeypatch.setattr(sys, "argv", ["script", str(clone), str(out), "--check", "2"])
    script.main()
    told = capsys.readouterr().out
    assert "2 models left out" in told and "from 14 models" in told
    made = read_length_baseline(out)
    found = [made.difficulty[str(number)] for number in range(ITEMS)]
    assert len(made.rows) == 2 * ITEMS and np.corrcoef(found, difficulties)[0, 1] > 0.97
    board = script.read_leaderboard(clone)
    name = "model-7"
    own = board.verdicts[name]
    assert len(own.wins) == ITEMS - 1, "without a verdict, an item is left out"
    hard = [found[item] for item in own.items.tolist()]
    _, hardness, bias = fit_weights(own.wins.tolist(), own.longer.tolist(), hard, made.rows)
    true = controlled_win_rate(WEIGHTS[name][2], WEIGHTS[name][1], difficulties)
    assert controlled_win_rate(bias, hardness, hard) == pytest.approx(true, abs=1.5)
    assert script.left_out(board, name) == pytest.approx(true, abs=2.5)


def test_another_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["script", str(tmp_path), str(tmp_path / "out.csv")])
    with pytest.raises(SystemExit, match="is not a clone of github"):
        script.main()
