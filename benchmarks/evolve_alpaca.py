"""Time three rounds of evolution of all 52,002 Alpaca instructions: `python -m benchmarks.evolve_alpaca [--data FILE]`.

The scripted engine answers immediately, so the time is that of everything else: reading, prompts, parsing, routing and
Parquet.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.support.lab import figure, lab, peak_memory, study
from benchmarks.support.public_data import ALPACA_ORIGIN, data_parser, find_alpaca
from cluster.connection.session import connect
from pipelines.errors import InputError

ROUNDS = 3
GOAL_SECONDS = 300


def main() -> None:
    """Print a table and the figure."""
    given = data_parser(__doc__, "FILE", ALPACA_ORIGIN).parse_args().data
    with tempfile.TemporaryDirectory() as folder:
        try:
            run(find_alpaca(given, Path(folder)))
        except InputError as error:
            raise SystemExit(str(error)) from None


def run(file: Path) -> None:
    """Evolve the instructions of a file, and print a table and the figure."""
    chosen = study(
        {"model": {"engine": "scripted", "cpus": 0, "in_flight": 512}},
        1,
        seeds=[{"name": "alpaca", "file": str(file.absolute()), "on_bad_row": "quarantine"}],
        evolution={"evolvers": ["model"], "rounds": ROUNDS},
        responses={"teachers": ["model"], "answer_seeds": False},
    )
    with peak_memory() as peak, connect(None), lab(chosen) as here:
        evolve = [step for step in here.steps if step.kind == "evolve"]
        seconds = here.stream(*evolve)
        rows = [here.context.row_counts.of(step) for step in evolve]
    print(f"{'round':>6}{'rows':>9}")
    for number, count in enumerate(rows, start=1):
        print(f"{number:>6}{count:>9}")
    print(f"{sum(rows) / seconds:.0f} rows/s, no barrier between rounds; the driver's memory {peak[0] / 2**30:.2f} GiB")
    figure("evolve_alpaca.seconds", seconds, f"<{GOAL_SECONDS}", 0)


if __name__ == "__main__":
    main()
