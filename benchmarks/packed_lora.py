"""Compare training eight LoRA students together to one after another: `python -m benchmarks.packed_lora`.

Both ways train the bundled tiny-4m base on the same eight data sets of the world's tasks in a warm process with both
cores. The recipe is the LoRA recipe of 2412.11231 (Table 7: 64 rows per step, one per forward pass). Time is measured
from the call until the last student is saved. Training together saves only overhead: with 16 rows per forward pass
(`--rows-per-pass 16`) arithmetic dominates, and the ratio is close to 1.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import bundled
from actors.training.spec import TrainOutcome, TrainPlacement, TrainSpec
from actors.training.trainer import train, train_multi_lora
from benchmarks.support.lab import figure
from bundled.world import heldout
from cluster.connection.session import connect

STUDENTS, ROWS, RUNS = 8, 128, 3
CPUS = 2
PLACEMENT = TrainPlacement(cpus=CPUS)
GOAL = 0.5
Pairs = Sequence[tuple[str, str]]


def data_sets(rows: int) -> list[Pairs]:
    """Return tasks of the world with their correct answers: `rows` different ones for each student."""
    tasks = heldout(STUDENTS * rows, 0, (0,))
    pairs = [(task.instruction, task.answer) for task in tasks]
    return [pairs[start::STUDENTS] for start in range(STUDENTS)]


def spec(rows_per_pass: int) -> TrainSpec:
    """Return the paper's recipe with one epoch."""
    return TrainSpec(
        base=str(Path(bundled.__file__).parent / "models" / "tiny-4m-base"),
        dtype="float32",
        tuning="lora",
        learning_rate=5e-5,
        epochs=1,
        batch_size=64,
        micro_batch_size=rows_per_pass,
        warmup_ratio=0.03,
    )


def train_one_by_one(spec: TrainSpec, sets: Sequence[Pairs], folder: Path) -> tuple[float, list[TrainOutcome]]:
    """Train one student after another, and return the seconds and the outcomes."""
    started = time.monotonic()
    outcomes = [train(spec, pairs, folder / f"{number}", PLACEMENT) for number, pairs in enumerate(sets)]
    return time.monotonic() - started, outcomes


def train_packed(spec: TrainSpec, sets: Sequence[Pairs], folder: Path) -> tuple[float, list[TrainOutcome]]:
    """Train all students together in one process, and return the seconds and the outcomes."""
    started = time.monotonic()
    outcomes = train_multi_lora(spec, sets, [folder / f"{number}" for number in range(len(sets))], PLACEMENT)
    return time.monotonic() - started, outcomes


def main() -> None:
    """Print a table and the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows-per-pass", type=int, default=1)
    parser.add_argument("--rows", type=int, default=ROWS, help="training rows per student")
    parser.add_argument("--runs", type=int, default=RUNS)
    arguments = parser.parse_args()
    recipe, sets, ratios = spec(arguments.rows_per_pass), data_sets(arguments.rows), list[float]()
    with connect(None, cpus=CPUS), tempfile.TemporaryDirectory() as name:
        train(recipe, sets[0][:8], Path(name) / "warm-up", PLACEMENT)
        print(f"{'run':>3} {'one after another, s':>22} {'together, s':>12} {'ratio':>6} {'max. loss diff.':>16}")
        for run in range(arguments.runs):
            apart, alone = train_one_by_one(recipe, sets, Path(name) / f"{run}-apart")
            joint, shared = train_packed(recipe, sets, Path(name) / f"{run}-together")
            ratios.append(joint / apart)
            before, after = ([loss for one in way for _, loss in one.losses] for way in (alone, shared))
            worst = max(abs(one - other) for one, other in zip(before, after, strict=True))
            print(f"{run + 1:>3} {apart:>22.1f} {joint:>12.1f} {ratios[-1]:>6.2f} {worst:>16.1e}", flush=True)
    figure("packed_lora.ratio", statistics.median(ratios), f"<={GOAL}")


if __name__ == "__main__":
    main()
