"""Compare the tokens per second of full fine-tuning on Alpaca pairs with TRL's SFTTrainer with packing.

`python -m benchmarks.sft_throughput [--data FILE]` needs `pip install 'evolgrid[dev]'`. The model is that of
`benchmarks.scoring_speed`: 9.4 million random float32 parameters, a vocabulary of 32,000. Both train one epoch on the
same tokens with all CPUs of this machine, in separate processes that alternate. Loading and tokenisation are excluded.
evolgrid packs the rows of a forward pass, TRL fills packs of a fixed length.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from actors.training.spec import TrainOutcome, TrainPlacement, TrainRow, TrainSpec
from actors.training.trainer import train
from benchmarks.scoring_speed import make_model
from benchmarks.support.lab import figure
from benchmarks.support.public_data import ALPACA_ORIGIN, Record, alpaca_rows, data_parser, find_alpaca
from cluster.connection.session import connect
from cluster.resources.inventory import machine

ROWS, BATCH, MICRO_BATCH = 256, 64, 8
LENGTH = 512  # tokens: the maximum of a row, and the length of TRL's packs
RUNS = 3
GOAL = 1.0
Pair = tuple[str, str]


def as_pair(row: Record) -> Pair:
    """Return a row of Alpaca's as user turn and answer."""
    return "\n".join(filter(None, (row["instruction"], row["input"]))), row["output"]


def write_rows(model: Path, rows: list[Pair], file: Path) -> None:
    """Write the rows for TRL as token ids and labels, encoded as evolgrid's trainer does."""
    from actors.training.batches import encode_rows
    from actors.training.model import load_tokenizer

    spec = TrainSpec(str(model), max_length=LENGTH)
    file.write_text(json.dumps(encode_rows(load_tokenizer(spec), [TrainRow(*row) for row in rows], spec).examples))


def ours(model: Path, rows: list[Pair], output: Path, cpus: int) -> TrainOutcome:
    """Train one epoch with evolgrid's trainer."""
    spec = TrainSpec(
        str(model),
        dtype="float32",
        epochs=1,
        batch_size=BATCH,
        micro_batch_size=MICRO_BATCH,
        max_length=LENGTH,
        packing=True,
    )
    return train(spec, rows, output, TrainPlacement(cpus=cpus))


def theirs(model: Path, file: Path, steps: int, cpus: int) -> float:
    """Return the tokens per second of TRL."""
    words = [str(model), str(file), str(LENGTH), str(steps), str(cpus)]
    command = [sys.executable, "-m", "benchmarks.support.trl_sft", *words]
    environment = os.environ | {"OMP_NUM_THREADS": str(cpus)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    told = json.loads(done.stdout.splitlines()[-1])
    return told["tokens"] / told["seconds"]


def main() -> None:
    """Print a table and the figure."""
    parser = data_parser(__doc__, "FILE", ALPACA_ORIGIN)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--runs", type=int, default=RUNS)
    arguments = parser.parse_args()
    cpus, ratios = int(machine().cpus), list[float]()
    with tempfile.TemporaryDirectory() as name, connect(None, cpus=cpus):
        found = alpaca_rows(find_alpaca(arguments.data, Path(name)))
        rows, model = [as_pair(row) for row in found[: arguments.rows]], Path(name) / "model"
        make_model(model, (text for pair in rows for text in pair))
        write_rows(model, rows, Path(name) / "rows.json")
        ours(model, rows[:BATCH], Path(name) / "warm-up", cpus)
        print(f"{'run':>3} {'ours, tokens/s':>15} {'MFU':>6} {'TRL, tokens/s':>14} {'ratio':>6}")
        for run in range(arguments.runs):
            speed = ours(model, rows, Path(name) / f"student-{run}", cpus).speed
            other = theirs(model, Path(name) / "rows.json", len(rows) // BATCH, cpus)
            ratios.append(speed.tokens_per_second / other)
            print(f"{run + 1:>3} {speed.tokens_per_second:>15.0f} {speed.mfu:>6.1%} {other:>14.0f} {ratios[-1]:>6.2f}")
    figure("sft_throughput.ratio", statistics.median(ratios), f">={GOAL}")


if __name__ == "__main__":
    main()
