"""Measure the scaling of the runner on simulated clusters of 1 to 16 nodes: `python -m benchmarks.simulated_scale`.

Each node is a separate raylet on this machine with one fake GPU. The scripted engines wait instead of computing, so
that two cores can simulate sixteen nodes. The stream has one worker per node, at most four. `--rows 1000000` streams
one million seeds through one node and one worker instead, and reports the rate, the worker's CPU time per row and the
driver's memory.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Generator
from typing import Any

from benchmarks.support.lab import Lab, figure, lab, peak_memory, study, worker_cpu
from cluster.connection.session import connect
from pipelines.study.spec.study import Study

NODES = (1, 2, 4, 8, 16)
SLOTS, LATENCY = 8, 0.4  # of each node's engine, which answers 20 requests per second
ROWS_PER_NODE = 160
MAX_WORKERS = 4
MODELS = 8  # in the grid that measures the overhead per step


@contextlib.contextmanager
def simulated_cluster(nodes: int) -> Generator[None]:
    """Start a simulated cluster and connect to it: a head without GPU, and `nodes` nodes with one GPU each."""
    from ray.cluster_utils import Cluster

    from cluster.connection.auth import ensure_token, use_token

    ensure_token()
    use_token(required=True)
    simulated: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 0})
    try:
        for _ in range(nodes):
            simulated.add_node(num_cpus=1, num_gpus=1)
        with connect(simulated.address):
            yield
    finally:
        simulated.shutdown()


def engine(gpus: float, **runtime: float) -> dict[str, Any]:
    """Return a scripted model as in a study file."""
    return {"engine": "scripted", "cpus": 0, "gpus": gpus, "runtime": runtime}


def replicated_study(nodes: int) -> Study:
    """Return a study whose model has a replica on each node, with the same number of rows per node."""
    model = engine(1, latency=LATENCY, slots=SLOTS) | {"replicas": nodes, "in_flight": 3 * SLOTS}
    return study(
        {"model": model},
        ROWS_PER_NODE * nodes,
        evolution={"evolvers": ["model"], "rounds": 1},
        responses={"teachers": ["model"]},
    )


def throughput(nodes: int) -> float:
    """Return the rows per second with this number of nodes, from the first request to the last commit."""
    with simulated_cluster(nodes), lab(replicated_study(nodes), min(nodes, MAX_WORKERS)) as here:
        first = here.first_request()
        here.stream()
        ended = time.monotonic()
        return rows_of(here) / (ended - first[0])


def rows_of(here: Lab) -> int:
    """Return the number of rows of all the lab's steps."""
    return sum(here.context.row_counts.of(step) for step in here.steps)


def step_overhead() -> tuple[float, int]:
    """Return the runner's milliseconds per step of a wide grid with two rows per step, and the number of steps."""
    names = [f"model-{number}" for number in range(MODELS)]
    wide = study(
        {name: engine(0) for name in names},
        2,
        evolution={"evolvers": names, "rounds": 2},
        responses={"teachers": names},
        scoring={"scorer": names[0]},
    )
    with connect(None), lab(wide) as here:
        return here.stream() / len(here.steps) * 1000, len(here.steps)


def many_rows(rows: int) -> None:
    """Print the rate of a long stream, the worker's CPU time and the driver's peak memory.

    The engine, the router and the driver take their share of the machine: on few cores, the rate is not the worker's.
    """
    model = engine(0) | {"in_flight": 512}
    long = study(
        {"model": model},
        rows,
        evolution={"evolvers": ["model"], "rounds": 1},
        responses={"teachers": ["model"], "answer_seeds": False},
    )
    with peak_memory() as peak, worker_cpu() as cpu, connect(None), lab(long, stream_workers=1) as here:
        seconds = here.stream()
        made = rows_of(here)
    print(f"{rows} seeds, {made} new rows in {seconds:.0f} s")
    print(f"the worker's CPU time, its start included: {sum(cpu.values()) / made * 1e6:.0f} microseconds per row")
    figure("simulated_scale.rows_per_second", made / seconds, ">=12000", 0)
    figure("simulated_scale.driver_gib", peak[0] / 2**30, "<2")


def main() -> None:
    """Print a table and the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=0, help="stream this number of seeds through one node instead")
    chosen = parser.parse_args()
    if chosen.rows:
        many_rows(chosen.rows)
        return
    overhead, steps = step_overhead()
    rates = {nodes: throughput(nodes) for nodes in NODES}
    print(f"{'nodes':>6}{'rows/s':>9}{'efficiency':>12}")
    for nodes, rate in rates.items():
        print(f"{nodes:>6}{rate:>9.1f}{rate / nodes / rates[1]:>12.2f}")
    print(f"{steps} steps of a wide grid, each with two rows: {overhead:.1f} ms per step")
    figure("simulated_scale.efficiency_8", rates[8] / 8 / rates[1], ">=0.9")
    figure("simulated_scale.step_overhead_ms", overhead, "<50", 1)


if __name__ == "__main__":
    main()
