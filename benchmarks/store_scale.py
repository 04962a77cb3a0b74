"""Time `status` and `plan` of 1,000 finished steps, and measure the memory of `verify` for 10 million rows.

Run it with `python -m benchmarks.store_scale`. `--rows` sets another number of rows.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa

from benchmarks.support.lab import figure, peak_memory
from pipelines.execution.runtime.commit import commit_rows, commit_step
from pipelines.planning.plan import make_plan
from pipelines.rows.arrow import to_table
from pipelines.rows.types import Rejection, ResponseRow
from pipelines.store.maintenance.verify import verify
from pipelines.store.manifest import Account
from pipelines.store.partitions import PARTITION_ROWS
from pipelines.store.shards import SHARD_PARTITIONS
from pipelines.store.store import Store
from pipelines.store.studies.step_index import save_step_index
from pipelines.study.file.load import load
from pipelines.study.graph.steps.step import Step

ROWS = 10_000_000
RUNS = 5
GOAL_SECONDS, GOAL_GIB = 2.0, 1.0
STUDY = """\
study: grown
seeds:
  - {name: world, world: {count: 20}}
models:
"""


def study_text() -> str:
    """Return a study file: 10 evolvers x 3 rounds (and the seeds) x 16 teachers, with scores: 1,023 steps."""
    names = [f"model-{number:02d}" for number in range(16)]
    models = "".join(f"  {name}: {{source: {name}, engine: scripted}}\n" for name in names)
    listed = ", ".join(names)
    rest = f"evolution: {{evolvers: [{', '.join(names[:10])}], rounds: 3}}\nresponses: {{teachers: [{listed}]}}\n"
    return STUDY + models + rest + "scoring: {scorer: model-00}\n"


def finish(store: Store, steps: list[Step]) -> None:
    """Finish all steps. The output of each is one rejection, which steps of all kinds may have."""
    for step in steps:
        lost = Rejection(step.key, "", step.key, 0, "rejected", "empty", "", "")
        commit_rows(store, step, [], [lost], 1, 1.0)


def time_command(command: str, study: Path, store: Path) -> float:
    """Return the seconds that a command of evolgrid takes, including the start of Python."""
    started = time.perf_counter()
    words = [sys.executable, "-m", "pipelines.cli", command, str(study), "--store", str(store)]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "COLUMNS": "200"})
    return time.perf_counter() - started


def fill(store: Store, step: Step, rows: int) -> None:
    """Finish a step with `rows` small rows, in shards of the normal size."""
    size, shards, left = PARTITION_ROWS * SHARD_PARTITIONS, [], rows
    folder = store.folder(step.kind, step.key)
    while left > 0:
        count, first = min(size, left), rows - left
        shards.append(store.write_table(folder, f"rows-{len(shards):05d}.parquet", responses(first, count)))
        left -= count
    commit_step(store, step, Account(rows_in=rows, rows_out=rows), tuple(shards), 1.0)


def responses(first: int, count: int) -> pa.Table:
    """Return answers with unique ids, which do not compress well."""
    ids = [hashlib.blake2b(number.to_bytes(8), digest_size=16).hexdigest() for number in range(first, first + count)]
    one = to_table(ResponseRow, [ResponseRow("", "p", "s", 0, "What is 1 + 1?", "", "2", "stop", 9, 1)])
    columns = {
        name: pa.array([value] * count, one.schema.field(name).type) for name, value in one.to_pylist()[0].items()
    }
    columns |= {"id": pa.array(ids), "index": pa.array(range(first, first + count), pa.int64())}
    return pa.table(columns, schema=one.schema)


def small_steps(folder: Path) -> tuple[int, float, float]:
    """Return the number of finished steps, and the minimum seconds of `status` and of `plan` over several runs.

    The minimum is used because other processes on the machine can only add time.
    """
    study, store = folder / "grown.yaml", Store(str(folder / "steps"))
    study.write_text(study_text())
    loaded = load(study)
    steps = [*make_plan(loaded.study, folder, store).pending]
    finish(store, steps)
    save_step_index(store, "grown", [step.key for step in steps])
    seconds = {name: [time_command(name, study, Path(store.root)) for _ in range(RUNS)] for name in ("status", "plan")}
    for name, runs in seconds.items():
        print(f"{name:>8} {' '.join(f'{run:6.2f}' for run in runs)} s")
    return len(steps), min(seconds["status"]), min(seconds["plan"])


def many_rows(folder: Path, rows: int) -> float:
    """Return the growth of this process's memory in GiB while it verifies `rows` rows."""
    study, store = folder / "grown.yaml", Store(str(folder / "rows"))
    step = next(step for step in make_plan(load(study).study, folder, store).pending if step.kind == "respond")
    fill(store, step, rows)
    before = _memory()
    started = time.perf_counter()
    with peak_memory() as peak:
        found = list(verify(store))
        seconds = time.perf_counter() - started
    assert not any(one.problems for one in found)
    size = sum(one.bytes for one in found) / 2**30
    print(f"{rows:,} rows, {size:.2f} GiB on disk: verified in {seconds:.1f} s, {size / seconds:.2f} GiB/s")
    return max(0.0, peak[0] - before) / 2**30


def _memory() -> int:
    import psutil

    return psutil.Process().memory_info().rss


def main() -> None:
    """Print a table and the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=ROWS)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as name:
        steps, status, plan = small_steps(Path(name))
        print(f"{steps:,} finished steps; the fastest of {RUNS} runs, including the start of the program")
        grown = many_rows(Path(name), rows)
    figure("store_scale.status_seconds", status, f"<{GOAL_SECONDS}")
    figure("store_scale.plan_seconds", plan, f"<{GOAL_SECONDS}")
    figure("store_scale.verify_gib", grown, f"<{GOAL_GIB}")


if __name__ == "__main__":
    main()
