"""Kill nodes during a run and compare its rows with those of an undisturbed run: `python -m benchmarks.preemption`.

A simulated cluster of 8 nodes (separate raylets on this machine, one fake GPU each) runs a study twice, with a replica
on every node. In the second run 3 nodes are killed without warning at random times. The rows of all steps are compared.
"""

from __future__ import annotations

import argparse
import random
import threading
import time
from collections import Counter
from typing import Any

from benchmarks.simulated_scale import engine
from benchmarks.support.lab import Lab, figure, lab, study
from cluster.connection.session import connect
from pipelines.study.spec.study import Study

NODES, KILLED = 8, 3
SLOTS, LATENCY, ROWS = 4, 0.5, 640
Rows = dict[str, Counter[str]]
"""For each step's key, the rows as text, and how often each occurs."""


def replicated_study() -> Study:
    """Return a study whose model has a replica on each node."""
    model = engine(1, latency=LATENCY, slots=SLOTS) | {"replicas": NODES - KILLED, "max_replicas": NODES}
    return study(
        {"model": model | {"in_flight": 2 * SLOTS}},
        ROWS,
        evolution={"evolvers": ["model"], "rounds": 1},
        responses={"teachers": ["model"]},
    )


def rows_by_step(here: Lab) -> Rows:
    """Return the rows of the lab's steps."""
    store = here.context.store
    tables = {step.key: store.rows(step.kind, step.key).to_pylist() for step in here.steps}
    return {key: Counter(map(str, rows)) for key, rows in tables.items()}


def run(found: list[Rows], begun: threading.Event) -> None:
    """Run the study and append its rows to `found`. Set `begun` when its models are ready."""
    with lab(replicated_study()) as here:
        begun.set()
        here.stream()
        found.append(rows_by_step(here))


def main() -> None:
    """Print the figures."""
    from ray.cluster_utils import Cluster

    from cluster.connection.auth import ensure_token, use_token

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    chance = random.Random(parser.parse_args().seed)
    ensure_token()
    use_token(required=True)
    simulated: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 0})
    found: list[Rows] = []
    try:
        nodes = [simulated.add_node(num_cpus=1, num_gpus=1) for _ in range(NODES)]
        with connect(simulated.address):
            started = time.monotonic()
            run(found, threading.Event())
            length, begun = time.monotonic() - started, threading.Event()
            thread = threading.Thread(target=run, args=(found, begun))
            thread.start()
            begun.wait()
            # Ray can remove nodes only from the main thread
            for node in chance.sample(nodes, KILLED):
                time.sleep(chance.uniform(0.05, 0.2) * length)
                simulated.remove_node(node, allow_graceful=False)
            thread.join()
    finally:
        simulated.shutdown()
    whole, disturbed = found
    print(f"{sum(map(Counter.total, whole.values()))} rows; {KILLED} of {NODES} nodes killed")
    lost = sum((whole[key] - disturbed[key]).total() for key in whole)
    doubled = sum(count - 1 for rows in disturbed.values() for count in rows.values())
    figure("preemption.rows_lost", lost, "=0", 0)
    figure("preemption.rows_doubled", doubled, "=0", 0)


if __name__ == "__main__":
    main()
