"""Measure the driver's memory for a long seed file: `python -m benchmarks.long_files`.

A file of five million rows is written to a temporary folder, planned, and run with scripted engines: the seeds step,
one stream, and the report.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.support.lab import figure

ROWS = 5_000_000
POLL_SECONDS = 0.2
STUDY = """
study: long
seeds: [{name: own, file: seeds.jsonl}]
models: {model: {source: model, engine: scripted, cpus: 0, in_flight: 512}}
evolution: {evolvers: [model], rounds: 1}
responses: {teachers: [model], answer_seeds: false}
"""


def write_files(folder: Path, rows: int) -> Path:
    """Write a study and its seed file; return the path of the study."""
    with (folder / "seeds.jsonl").open("w") as file:
        for number in range(rows):
            instruction = f"Write a sentence about the number {number} and what it means to you."
            answer = f"The number {number} is dear to me, because it follows the number before it."
            file.write(json.dumps({"instruction": instruction, "output": answer}) + "\n")
    (folder / "study.yaml").write_text(STUDY)
    return folder / "study.yaml"


def peak_of(*command: str) -> tuple[float, float]:
    """Run a command of evolgrid; return its own peak resident memory in GiB, without child processes, and its seconds.

    Raises:
        CalledProcessError: If the command fails.
    """
    started, peak = time.monotonic(), 0
    process = subprocess.Popen([sys.executable, "-m", "pipelines.cli", *command], stdout=subprocess.DEVNULL)
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        peak = max(peak, watched.memory_info().rss)
        time.sleep(POLL_SECONDS)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return peak / 2**30, time.monotonic() - started


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        study, store = write_files(Path(folder), rows), str(Path(folder, "store"))
        plan_gib, plan_seconds = peak_of("plan", str(study), "--store", store)
        print(f"plan of {rows} rows: {plan_seconds:.0f} s, {plan_gib:.2f} GiB")
        run_gib, run_seconds = peak_of("run", str(study), "--store", store)
        print(f"run: {run_seconds:.0f} s, {run_gib:.2f} GiB")
    figure("long_files.driver_gib", max(plan_gib, run_gib), "<1")


if __name__ == "__main__":
    main()
